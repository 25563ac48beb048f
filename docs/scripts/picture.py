#!/usr/bin/env python3
"""Runs a command in a terminal of its own and draws what it leaves on the screen as an SVG picture.

    docs/scripts/picture.py docs/demo.svg dotnet run --project Emu86.Ft -- --demo

Needs a Unix and Python 3.8, nothing else. Understands what Spectre.Console writes: text, line ends, SGR colours, cursor
up and down, erasing. Anything else ends the script, so that no picture is quietly wrong.
"""
import fcntl, os, pty, re, struct, sys, termios
from xml.sax.saxutils import escape

COLUMNS, ROWS = 100, 60
CELL_X, CELL_Y, FONT, MARGIN = 8.4, 18, 14, 14
BACKGROUND, FOREGROUND = "#16181d", "#d8dade"
BASIC = ["#30343c", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#c8ccd4",
         "#7f848e", "#ff7b86", "#a9dc76", "#ffd866", "#78bfff", "#d98cf0", "#6fd3de", "#ffffff"]
BARS = "▁▂▃▄▅▆▇█"
# To which neighbours the lines of a box-drawing character go.
LINES = {"─": "lr", "│": "ud", "╭": "rd", "╮": "ld", "╰": "ru", "╯": "lu", "├": "udr", "┤": "udl", "┬": "lrd", "┴": "lru", "┼": "lrud"}


def run(command):
    """The bytes that the command writes to a terminal, and its exit code."""
    child, terminal = pty.fork()
    if child == 0:
        os.environ.update(TERM="xterm-256color", COLUMNS=str(COLUMNS), LINES=str(ROWS))
        os.execvp(command[0], command)
    fcntl.ioctl(terminal, termios.TIOCSWINSZ, struct.pack("HHHH", ROWS, COLUMNS, 0, 0))
    written = b""
    while True:
        try:
            chunk = os.read(terminal, 65536)
        except OSError:
            break
        if not chunk:
            break
        written += chunk
    return written, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])


class Screen:
    def __init__(self):
        self.cells = [[(" ", None, False)] * COLUMNS for _ in range(ROWS)]
        self.x = self.y = 0
        self.colour, self.bold = None, False

    def put(self, character):
        if self.x == COLUMNS:
            self.x = 0
            self.down()
        self.cells[self.y][self.x] = (character, self.colour, self.bold)
        self.x += 1

    def down(self):
        if self.y < ROWS - 1:
            self.y += 1
        else:
            self.cells = self.cells[1:] + [[(" ", None, False)] * COLUMNS]

    def style(self, codes):
        while codes:
            code = codes.pop(0)
            if code == 0: self.colour, self.bold = None, False
            elif code == 1: self.bold = True
            elif code == 22: self.bold = False
            elif code == 39: self.colour = None
            elif 30 <= code <= 37: self.colour = BASIC[code - 30]
            elif 90 <= code <= 97: self.colour = BASIC[code - 82]
            elif code == 38 and codes.pop(0) == 5: self.colour = indexed(codes.pop(0))
            elif code == 38: self.colour = "#%02x%02x%02x" % (codes.pop(0), codes.pop(0), codes.pop(0))
            else: sys.exit(f"picture.py does not know the style {code}")

    def control(self, parameters, final):
        n = [int(p) if p else 0 for p in parameters.split(";")] if not parameters.startswith("?") else []
        if final == "m": self.style(n)
        elif final == "A": self.y = max(0, self.y - max(1, n[0]))
        elif final == "B": self.y = min(ROWS - 1, self.y + max(1, n[0]))
        elif final == "F": self.x, self.y = 0, max(0, self.y - max(1, n[0]))
        elif final == "J" and n[0] == 0:
            self.control("0", "K")
            self.cells[self.y + 1:] = [[(" ", None, False)] * COLUMNS for _ in range(ROWS - self.y - 1)]
        elif final == "K" and n[0] == 2: self.cells[self.y] = [(" ", None, False)] * COLUMNS
        elif final == "K" and n[0] == 0: self.cells[self.y][self.x:] = [(" ", None, False)] * (COLUMNS - self.x)
        elif final in "hl" and not n: pass
        else: sys.exit(f"picture.py does not know CSI {parameters}{final}")

    def write(self, text):
        at = 0
        while at < len(text):
            if control := re.compile(r"\x1b\[([?0-9;]*)([A-Za-z])").match(text, at):
                self.control(*control.groups())
                at = control.end()
                continue
            if ignored := re.compile(r"\x1b\][^\x07]*\x07|\x1b[=>]").match(text, at):
                at = ignored.end()
                continue
            character = text[at]
            if character == "\r": self.x = 0
            elif character == "\n": self.down()
            elif character >= " ": self.put(character)
            else: sys.exit(f"picture.py does not know the control character {character!r}")
            at += 1


def indexed(n):
    if n < 16: return BASIC[n]
    if n >= 232: return "#" + "%02x" % (8 + 10 * (n - 232)) * 3
    levels = [0, 95, 135, 175, 215, 255]
    n -= 16
    return "#%02x%02x%02x" % (levels[n // 36], levels[n // 6 % 6], levels[n % 6])


def draw(lines, title):
    width, height = MARGIN * 2 + COLUMNS * CELL_X, MARGIN * 2 + 26 + len(lines) * CELL_Y
    out = [f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
           f'font-family="Menlo, Consolas, \'DejaVu Sans Mono\', \'Liberation Mono\', monospace" font-size="{FONT}">',
           f'<title>{escape(title)}</title>', f'<rect width="100%" height="100%" rx="8" fill="{BACKGROUND}"/>']
    for n, colour in enumerate(["#e06c75", "#e5c07b", "#98c379"]):
        out.append(f'<circle cx="{MARGIN + 6 + n * 18}" cy="{MARGIN + 4}" r="5.5" fill="{colour}"/>')
    shapes, strokes = {}, {}
    for row, line in enumerate(lines):
        top = MARGIN + 26 + row * CELL_Y
        x = 0
        while x < COLUMNS:
            character, colour, bold = line[x]
            left = MARGIN + x * CELL_X
            if character == " ":
                x += 1
            elif character in BARS:
                tall = (BARS.index(character) + 1) / 8 * (CELL_Y - 2)
                shapes.setdefault(colour or FOREGROUND, []).append(f"M{left + .5:.1f} {top + CELL_Y - 1:.1f}v{-tall:.1f}h{CELL_X - 1:.1f}v{tall:.1f}z")
                x += 1
            elif character in LINES:
                middle, centre = left + CELL_X / 2, top + CELL_Y / 2
                ends = {"l": (left, centre), "r": (left + CELL_X, centre), "u": (middle, top), "d": (middle, top + CELL_Y)}
                for side in LINES[character]:
                    strokes.setdefault(colour or FOREGROUND, []).append(f"M{middle:.1f} {centre:.1f}L{ends[side][0]:.1f} {ends[side][1]:.1f}")
                x += 1
            else:
                # A run of one style; its width is said, so that any monospaced font lines up.
                end = x
                while end < COLUMNS and line[end][1:] == (colour, bold) and line[end][0] not in BARS and line[end][0] not in LINES: end += 1
                text = "".join(c for c, _, _ in line[x:end]).rstrip()
                weight = ' font-weight="bold"' if bold else ""
                out.append(f'<text x="{left:.1f}" y="{top + CELL_Y - 5}" fill="{colour or FOREGROUND}"{weight} textLength="{len(text) * CELL_X:.1f}" '
                           f'lengthAdjust="spacingAndGlyphs" xml:space="preserve">{escape(text)}</text>')
                x = end
    out += [f'<path fill="{colour}" d="{"".join(parts)}"/>' for colour, parts in shapes.items()]
    out += [f'<path stroke="{colour}" fill="none" d="{"".join(parts)}"/>' for colour, parts in strokes.items()]
    return "\n".join(out) + "\n</svg>\n"


def main():
    if len(sys.argv) < 3: sys.exit(__doc__)
    written, code = run(sys.argv[2:])
    screen = Screen()
    screen.write(written.decode())
    lines = screen.cells
    while lines and all(cell[0] == " " for cell in lines[-1]): lines = lines[:-1]
    while lines and all(cell[0] == " " for cell in lines[0]): lines = lines[1:]
    if code != 0:
        print("\n".join("".join(cell[0] for cell in line).rstrip() for line in lines))
        sys.exit(f"the command ended with exit code {code}")
    with open(sys.argv[1], "w", encoding="utf-8") as file:
        file.write(draw(lines, " ".join(sys.argv[2:])))


main()
