// The constants of the x87 (Intel SDM vol. 1, 8.3.4): 66-bit values in the processor, rounded when loaded.
namespace Emu86.Cpu.Float;

public static class FpuConstants
{
#pragma warning disable format // aligned by hand
    public static void One(ref FpuState fpu)      => FpuOps.Load(ref fpu, Float80.One);
    public static void Zero(ref FpuState fpu)     => FpuOps.Load(ref fpu, Float80.Zero);
    public static void Log2Of10(ref FpuState fpu) => FpuOps.LoadConstant(ref fpu, 0xD49A784BCD1B8AFE, 0x4000, nearestIsUp: false);
    public static void Log2OfE(ref FpuState fpu)  => FpuOps.LoadConstant(ref fpu, 0xB8AA3B295C17F0BB, 0x3FFF, nearestIsUp: true);
    public static void Pi(ref FpuState fpu)       => FpuOps.LoadConstant(ref fpu, 0xC90FDAA22168C234, 0x4000, nearestIsUp: true);
    public static void Log10Of2(ref FpuState fpu) => FpuOps.LoadConstant(ref fpu, 0x9A209A84FBCFF798, 0x3FFD, nearestIsUp: true);
    public static void LnOf2(ref FpuState fpu)    => FpuOps.LoadConstant(ref fpu, 0xB17217F7D1CF79AB, 0x3FFE, nearestIsUp: true);
#pragma warning restore format
}
