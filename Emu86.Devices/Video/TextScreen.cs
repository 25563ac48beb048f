// What a text mode shows, for whoever draws or prints it. A copy: it does not change when the guest goes on.
using System.Text;

namespace Emu86.Devices.Video;

/// <summary>A picture of the screen in characters.</summary>
public sealed class TextScreen
{
    private const string CodePage437 =
        "\0☺☻♥♦♣♠•◘○◙♂♀♪♫☼►◄↕‼¶§▬↨↑↓→←∟↔▲▼ !\"#$%&'()*+,-./0123456789:;<=>?@ABCDEFGHIJKLMNOPQRSTUVWXYZ[\\]^_`abcdefghijklmnopqrstuvwxyz{|}~⌂"
        + "ÇüéâäàåçêëèïîìÄÅÉæÆôöòûùÿÖÜ¢£¥₧ƒáíóúñÑªº¿⌐¬½¼¡«»░▒▓│┤╡╢╖╕╣║╗╝╜╛┐└┴┬├─┼╞╟╚╔╩╦╠═╬╧╨╤╥╙╘╒╓╫╪┘┌█▄▌▐▀αßΓπΣσµτΦΘΩδ∞φε∩≡±≥≤⌠⌡÷≈°∙·√ⁿ²■\u00a0";

    /// <summary>Whether a text mode is on; if not, only <see cref="Version"/> means something.</summary>
    public required bool IsText { get; init; }

    /// <summary>The screen is switched off (or no mode was set yet).</summary>
    public required bool IsBlank { get; init; }

    /// <summary>Of the device when the picture was taken.</summary>
    public required ulong Version { get; init; }

    public required int Columns { get; init; }

    public required int Rows { get; init; }

    /// <summary>Row by row: character in the low byte, attribute in the high byte.</summary>
    public required ushort[] Cells { get; init; }

    /// <summary>Null when the cursor is off or outside the screen.</summary>
    public required (int Column, int Row)? Cursor { get; init; }

    /// <summary>First and last scan line of the cursor within a character.</summary>
    public required (int Start, int End) CursorLines { get; init; }

    /// <summary>Scan lines per character.</summary>
    public required int CharacterHeight { get; init; }

    /// <summary>Dots per character: 8 or 9.</summary>
    public required int CharacterWidth { get; init; }

    /// <summary>Attribute bit 7 blinks instead of choosing bright backgrounds.</summary>
    public required bool Blinks { get; init; }

    /// <summary>16 colours, 00RRGGBB.</summary>
    public required uint[] Palette { get; init; }

    /// <summary>Two fonts of 256 characters of 32 lines: the first for attribute bit 3 = 0.</summary>
    public required byte[] Fonts { get; init; }

    /// <summary>A row as Unicode, without trailing spaces.</summary>
    public string Line(int row)
    {
        var text = new StringBuilder(Columns);
        for (int column = 0; column < Columns; column++)
        {
            char c = CodePage437[Cells[(row * Columns) + column] & 0xff];
            text.Append(c == '\0' ? ' ' : c);
        }
        return text.ToString().TrimEnd(' ');
    }

    /// <summary>All rows, one line each.</summary>
    public override string ToString() => string.Join('\n', Enumerable.Range(0, Rows).Select(Line));
}
