// The instruction groups that make up the opcode table.
using Emu86.Cpu.Decode;

namespace Emu86.Cpu.Execute;

internal static class Groups
{
    /// <summary>All rows, in the order of the groups.</summary>
    public static OpTable Build()
    {
        var table = new OpTable();
        DataMove.Rows(table);
        Stack.Rows(table);
        Arithmetic.Rows(table);
        MulDiv.Rows(table);
        Decimal.Rows(table);
        Logic.Rows(table);
        ShiftRotate.Rows(table);
        BitOps.Rows(table);
        ControlFlow.Rows(table);
        Strings.Rows(table);
        SegmentLoad.Rows(table);
        FarTransfer.Rows(table);
        Interrupts.Rows(table);
        ControlRegisters.Rows(table);
        DescriptorTables.Rows(table);
        SystemInstructions.Rows(table);
        InputOutput.Rows(table);
        DebugUnit.Rows(table);
        X87.Rows(table);
        X87Memory.Rows(table);
        X87Control.Rows(table);
        return table;
    }
}
