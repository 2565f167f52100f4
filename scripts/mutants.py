"""What scripts/mutate breaks: the mutants of a source file, and the file that holds many of them at once.

Works on text alone: compiles nothing and runs nothing. Knows C++ only as far as clang-format lays it
out in lib/tcp.
"""
import collections
import os
import re

# (what, pattern, replacement): each place where a pattern matches is a mutant.
OPERATORS = (
    ("<  to <=", r"(?<![<\w-]) < (?!<)", " <= "),
    ("<= to <", r" <= ", " < "),
    (">  to >=", r"(?<![>-]) > (?!>)", " >= "),
    (">= to >", r" >= ", " > "),
    ("== to !=", r" == ", " != "),
    ("!= to ==", r" != ", " == "),
    ("&& to ||", r" && ", " || "),
    ("|| to &&", r" \|\| ", " && "),
    ("+  to -", r" \+ ", " - "),
    ("-  to +", r" - ", " + "),
    ("+= to -=", r" \+= ", " -= "),
    ("not dropped", r"(?<=[(& |=])!(?=[a-z(])", ""),
    ("true to false", r"\btrue\b", "false"),
    ("false to true", r"\bfalse\b", "true"),
    ("before to at_or_before", r"\bbefore\(", "at_or_before("),
    ("at_or_before to before", r"\bat_or_before\(", "before("),
    ("after to at_or_after", r"\bafter\(", "at_or_after("),
    ("at_or_after to after", r"\bat_or_after\(", "after("),
    ("min to max", r"\bstd::min\b", "std::max"),
    ("max to min", r"\bstd::max\b", "std::min"),
    ("later_of to earlier_of", r"\blater_of\(", "earlier_of("),
    ("earlier_of to later_of", r"\bearlier_of\(", "later_of("),
    ("statement gone", r"^(\s+)(?!return\b|using\b|const\b|auto\b|break\b|case\b|std::\w+ \w+[ ;]|[A-Z]\w*[&*]? \w+[ ;(={])"
                       r"[a-z][\w.>\[\]()-]*(?: [-+|&]?= .*|\(.*\)|\+\+|--)?;\s*(?://.*)?$", r"\1;"),
)


def code_of(line):
    """The line without comment and string; empty where nothing is to be broken."""
    if line.lstrip().startswith(("//", "#", "namespace", "using", "static_assert", "WEIR_ASSERT")):
        return ""
    return line.split("//")[0] if "//" in line else line


def mutants_of(file, root):
    """Each with the number (`nth`) that tells it from its like: line numbers move."""
    with open(file, encoding="utf-8") as text:
        lines = text.read().split("\n")
    seen = collections.Counter()
    for number, line in enumerate(lines):
        code = code_of(line)
        if not code.strip() or "constexpr" in code and "=" not in code:
            continue
        for what, pattern, replacement in OPERATORS:
            for found in re.finditer(pattern, code):
                changed = code[:found.start()] + found.expand(replacement) + code[found.end():]
                if changed.strip() == code.strip():
                    continue
                like = (what, line.strip(), changed.strip())
                yield {"file": os.path.relpath(file, root), "line": number + 1, "what": what,
                       "before": line.strip(), "after": changed.strip(), "nth": seen[like], "text": changed}
                seen[like] += 1


def name_of(mutant):
    return tuple(mutant[k] for k in ("file", "what", "before", "after", "nth"))


# -- All mutants of a file in one object ----------------------------------------------------------

SELECT = "WEIR_MUTANT"  # of the environment: the number of the one that runs; none: none
SELECTOR = f"""#include <cstdlib>
extern const int weir_mutant;
const int weir_mutant = std::getenv("{SELECT}") != nullptr ? std::atoi(std::getenv("{SELECT}")) : 0;
"""
SIGNATURE = re.compile(r"^(?P<result>[\w:<>,&* ]*[ &*])(?P<name>[a-z_]\w*)\((?P<args>.*)\) \{$")


def arguments_of(args):
    """The names of a function's arguments; None when one has no name."""
    names, depth, start = [], 0, 0
    for i, c in enumerate(args + ","):
        depth += (c in "<(") - (c in ">)")
        if c == "," and depth == 0:
            found = re.match(r"^.*[ &*](\w+)$", args[start:i].strip())
            if found is None and args.strip():
                return None
            names += [found.group(1)] if found else []
            start = i + 1
    return names


def functions_of(lines):
    """(first line, first line of the body, last line, signature, name, arguments) of the plain functions,
    as clang-format lays them out; lines count from 0."""
    first = None
    for i, line in enumerate(lines):
        if first is None and re.match(r"^[A-Za-z]", line) and not re.match(
                r"^(namespace|struct|class|enum|using|template|static_assert|constexpr|extern|inline)\b", line):
            first = i
        if first is None:
            continue
        if line.endswith("{"):
            signature = " ".join(part.strip() for part in lines[first:i + 1])
            found = SIGNATURE.match(signature)
            names = arguments_of(found.group("args")) if found else None
            if names is not None:
                last = next(k for k in range(i, len(lines)) if lines[k] == "}")
                yield first, i + 1, last, signature, found.group("name"), names
            first = None
        elif line.endswith((";", "}")) or not line.strip():
            first = None


def copies(lines, mutants):
    """The file with the mutants in copies of their functions, numbered from 1; and of each line of it to
    which mutant it belongs (0: none). Those outside of functions are left out."""
    functions = list(functions_of(lines))
    inside = collections.defaultdict(list)
    for number, m in mutants.items():
        for f in functions:
            if f[1] <= m["line"] - 1 < f[2]:
                inside[f[0]].append((number, m))
    text = ["extern const int weir_mutant;"]
    owner = [0]
    bodies = {f[0]: f for f in functions if inside[f[0]]}
    i = 0
    while i < len(lines):
        if i not in bodies:
            text.append(lines[i])
            owner.append(0)
            i += 1
            continue
        first, body, last, signature, name, args = bodies[i]
        passed = ", ".join(f"static_cast<decltype({a})&&>({a})" for a in args)
        cases = []
        for number, m in inside[first]:
            changed = list(lines[body:last + 1])
            changed[m["line"] - 1 - body] = m["text"]
            copy = [signature.replace(f" {name}(", f" {name}_m{number}(", 1)
                    if f" {name}(" in signature else signature.replace(f"{name}(", f"{name}_m{number}(", 1)]
            text += copy + changed
            owner += [number] * (len(changed) + 1)
            cases.append(f"  if (weir_mutant == {number}) return {name}_m{number}({passed});")
        text += [signature, *cases, *lines[body:last + 1]]
        owner += [0] + [number for number, _ in inside[first]] + [0] * (last + 1 - body)
        i = last + 1
    return "\n".join(text), owner
