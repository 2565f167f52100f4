"""The language of packet scripts: text to a list of Events. What a packet or a call means is not known here."""
import ast
import dataclasses
import re
from typing import Any

KEPT = re.compile(r'("(?:[^"\\\n]|\\.)*")|%\{(.*?)\}%|`(.*?)`|(//[^\n]*|#[^\n]*|/\*.*?\*/)', re.S)
MOMENT = r"\+?\s*\d*\.?\d+"
START = re.compile(r"^[ \t]*(\*|" + MOMENT +
                   r"(?:[ \t]*~[ \t]*" + MOMENT + r")?(?:[ \t]*\.\.\.[ \t]*\d*\.?\d+)?)(?=\s*[<>`%A-Za-z_])", re.M)
TOKEN = re.compile(r'\s*("(?:[^"\\]|\\.)*"|\.\.\.|0[xX][0-9a-fA-F]+|\d+|[A-Za-z_]\w*|\S)')
SPACE = re.compile(r"\s+")


class Wrong(Exception):
    """A script that cannot be read, or does what the player has no means for."""


class Name(str):
    """A symbol that is looked up when the call is made."""


ELLIPSIS = Name("...")
STAR = Name("*")


@dataclasses.dataclass
class Packet:
    inbound: bool
    flags: str = ""              # of "FSRP.UEW", in the script's order; "-": none
    seq: int = 0
    length: int = 0
    ack: int | None = None
    win: int | None = None
    urg: int = 0
    options: list | None = None  # [("mss", 1000), ...]; None: any
    ecn: str | None = None       # "noecn", "ect0", "ect1", "ce"; None: any
    icmp: tuple | None = None    # type, code, MTU; seq is of the segment it quotes, if that is said
    quotes: bool = False


@dataclasses.dataclass
class Call:
    name: str
    args: list
    result: Any = ELLIPSIS
    errno: str | None = None
    ends: tuple | None = None  # a blocking call: when it returns (relative to its start?, seconds)


@dataclasses.dataclass
class Event:
    line: int
    text: str
    relative: bool
    at: int | None             # microseconds; None: at any time
    until: int | None = None   # a range's end
    what: Any = None           # Packet, Call, ("code", text), ("command", text)


def usecs(text):
    return round(float(text.replace("+", "").strip()) * 1e6)


class Expression:
    """A call's arguments: numbers, symbols, strings, [arrays], {structs}, masks, and what is left open."""

    def __init__(self, text):
        self.tokens = TOKEN.findall(text)
        self.at = 0

    def peek(self):
        return self.tokens[self.at] if self.at < len(self.tokens) else ""

    def take(self, expected=None):
        token = self.peek()
        if expected is not None and token != expected:
            raise Wrong("expected %r, found %r" % (expected, token))
        self.at += 1
        return token

    def items(self, end):
        out = []
        while self.peek() != end:
            out.append(self.mask())
            if self.peek() == ",":
                self.take()
            elif self.peek() != end:
                raise Wrong("expected ',' or %r, found %r" % (end, self.peek()))
        self.take(end)
        return out

    def mask(self):
        value = self.one()
        while self.peek() in ("|", "+", "*", "-") and self.peek():
            value = (self.take(), value, self.one())
        return value

    def member(self):
        name = self.take()
        if self.peek() == "(":
            self.take()
            self.items(")")
        self.take("=")
        return name, self.mask()

    def struct(self):
        out = {}
        while self.peek() != "}":
            if self.at + 1 < len(self.tokens) and self.tokens[self.at + 1] in ("=", "("):
                key, value = self.member()
            else:
                key, value = len(out), self.mask()
            out[key] = value
            if self.peek() == ",":
                self.take()
        self.take("}")
        return out

    def one(self):
        token = self.take()
        if token == "[":
            return self.items("]")
        if token == "{":
            return self.struct()
        if token == "(":
            value = self.mask()
            self.take(")")
            return value
        if token == "-":
            return ("-", 0, self.one())
        if token == "~":
            return ("~", 0, self.one())
        if token == "...":
            return ELLIPSIS
        if token == "*":
            return STAR
        if token.startswith('"'):
            text = ast.literal_eval(token).encode("latin-1")
            if self.peek() == "...":
                self.take()
            return text
        if token[:1].isdigit():
            return int(token, 16) if token[:2] in ("0x", "0X") else int(token)
        if re.match(r"[A-Za-z_]", token):
            if self.peek() == "(":
                self.take()
                return ("call", token, self.items(")"))
            return Name(token)
        raise Wrong("unexpected %r" % token)


def parse_call(text, ends):
    m = re.match(r"([a-z_]\w*)\s*\(", text)
    if not m:
        raise Wrong("not a system call: " + text)
    e = Expression(text[m.end():])
    call = Call(m[1], e.items(")"), ends=ends)
    if e.peek() == "=":
        e.take()
        call.result = e.mask()
        if re.match(r"E[A-Z0-9]+$", e.peek()):
            call.errno = e.take()
        if e.peek() == "(":  # a note, as strace prints it
            e.at = len(e.tokens)
    if e.peek() not in ("", ";"):
        raise Wrong("unexpected %r after the call" % e.peek())
    return call


def parse_options(text):
    if text.strip() == "...":
        return None
    out = []
    for part in text.split(","):
        words = part.split()
        if not words:
            continue
        kind, rest = words[0], words[1:]
        if kind in ("nop", "eol", "sackOK"):
            out.append((kind,))
        elif kind in ("mss", "wscale"):
            out.append((kind, int(rest[0])))
        elif kind == "TS":
            out.append(("TS", rest[rest.index("val") + 1], rest[rest.index("ecr") + 1]))
        elif kind == "sack":
            out.append(("sack",) + tuple(tuple(map(int, x.split(":"))) for x in rest))
        else:
            raise Wrong("unknown TCP option: " + part.strip())
    return out


TCP = re.compile(r"([FSRP.UEW]+|-)\s+(\d+):(\d+)\((\d+)\)(?:\s+ack\s+(\d+))?(?:\s+win\s+(\d+))?(?:\s+urg\s+(\d+))?"
                 r"\s*(?:<(.*)>)?$")
ICMP = re.compile(r"(?:\[(\d+):(\d+)\((\d+)\)\]\s*)?icmp\s+(\w+)(?:\s+(?!mtu\b)(\w+))?(?:\s+mtu\s+(\d+))?"
                  r"(?:\s*\[(\d+):(\d+)\((\d+)\)\])?$")


def parse_packet(text):
    p = Packet(text[0] == "<")
    text = SPACE.sub(" ", text[1:]).strip()
    prefix = re.match(r"\[(noecn|ect01?|ect1|ce)\] ?", text)
    if prefix:
        p.ecn, text = prefix[1], text[prefix.end():]
    m = ICMP.match(text)
    if m:
        p.icmp = (m[4], m[5], int(m[6] or 0))
        seq = m[1] or m[7]
        p.quotes, p.seq = seq is not None, int(seq or 0)
        return p
    m = TCP.match(text)
    if not m:
        raise Wrong("a packet of another kind")
    p.flags, p.seq, p.length = m[1], int(m[2]), int(m[4])
    if (int(m[3]) - p.seq) % 2**32 != p.length:
        raise Wrong("the sequence numbers do not tell the length")
    p.ack = int(m[5]) if m[5] else None
    p.win = int(m[6]) if m[6] else None
    p.urg = int(m[7] or 0)
    p.options = [] if m[8] is None else parse_options(m[8])
    return p


def parse_moment(text):
    """'+.1', '0', '+0~+.2', '*', '0...0.3': (relative, from, until, when a blocking call ends)."""
    if text == "*":
        return False, None, None, None
    start, _, end = text.partition("...")
    low, _, high = start.partition("~")
    relative = "+" in low
    return relative, usecs(low), usecs(high) if high else None, (relative, usecs(end)) if end else None


def parse(text):
    """(options, commands before the first event, Events). Raises Wrong with the line's number."""
    kept = []

    def keep(m):
        if m[4] is not None:
            return "\n" * m[4].count("\n") if m[4].startswith("/*") else ""
        if m[1] is not None:
            return m[1]
        kept.append(("code", m[2]) if m[2] is not None else ("command", m[3]))
        return ("%%{%d}%%" if m[2] is not None else "`%d`") % (len(kept) - 1) + "\n" * m[0].count("\n")

    flat = KEPT.sub(keep, text)
    starts = list(START.finditer(flat))
    head = flat[:starts[0].start()] if starts else flat
    options = dict(re.findall(r"--(\w+)=(\S+)", head))
    commands = [kept[int(n)][1] for n in re.findall(r"`(\d+)`", head)]
    events = []
    for m, following in zip(starts, starts[1:] + [None]):
        body = flat[m.end():following.start() if following else len(flat)].strip()
        line = flat.count("\n", 0, m.start(1)) + 1
        try:
            relative, at, until, ends = parse_moment(m[1])
            trailing = re.findall(r"\n\s*`(\d+)`\s*$", body)  # a command that has no time of its own
            if trailing:
                body = body[:body.rindex("\n")].strip()
            event = Event(line, SPACE.sub(" ", m[1] + " " + body), relative, at, until)
            held = re.match(r"(?:%\{|`)(\d+)(?:\}%|`)$", body)
            if held:
                event.what = kept[int(held[1])]
                event.text = SPACE.sub(" ", m[1] + " " + event.what[0] + ": " + event.what[1].strip())[:100]
            elif body[:1] in "<>":
                event.what = parse_packet(body)
            else:
                event.what = parse_call(body, ends)
            events.append(event)
        except (Wrong, ValueError, IndexError, SyntaxError) as e:
            raise Wrong("line %d: %s: %s" % (line, SPACE.sub(" ", body)[:80], e)) from e
    return options, commands, events
