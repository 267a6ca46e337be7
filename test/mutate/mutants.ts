// The mistakes that one could make in the core, one at a time: each is a piece of a source file and what stands there instead.

import { readdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";

export interface Mutant {
  /** What tells it from all others and does not change with the lines around it: file, function, what was and what is. */
  id: string;
  file: string;
  line: number;
  start: number;
  end: number;
  text: string;
}

/** Files that are no part of what a core does: the proof of its room, the checks of debug builds, the header for C. */
export const LEFT_OUT = new Set(["budget.ts", "invariants.ts", "make-header.ts", "abort.ts"]);
/** Checks of invariants, which do nothing while all is well. */
const CHECKS = new Set(["isSound", "arenaIsSound", "deadlinesAreSound", "ensure", "assert", "ERROR"]);
const WAS_CHARACTERS_MAX = 90;

const OPERATORS: Record<string, string> = {
  "<": "<=",
  "<=": "<",
  ">": ">=",
  ">=": ">",
  "==": "!=",
  "!=": "==",
  "===": "!==",
  "!==": "===",
  "&&": "||",
  "||": "&&",
  "+": "-",
  "-": "+",
  "&": "|",
  "|": "&",
  "^": "|",
  "<<": ">>>",
  ">>": "<<",
  ">>>": "<<",
  "*": "+",
  "%": "*",
  "+=": "-=",
  "-=": "+=",
  "|=": "&=",
  "&=": "|=",
};

/** Sets, and things that are as easily taken for each other. */
const SWAPPED: Record<string, string> = {
  pendingSet: "failedSet",
  failedSet: "pendingSet",
  markedSet: "pendingSet",
  freshSet: "settlingSet",
  settlingSet: "freshSet",
  urgentSet: "lazySet",
  lazySet: "urgentSet",
  inFlightSet: "unsureSet",
  unsureSet: "inFlightSet",
  min: "max",
  max: "min",
  add: "remove",
  remove: "add",
};

/** Every mutant of the core, by file and place. */
export function coreMutants(folder: string): Mutant[] {
  const files = readdirSync(folder).filter((name) => name.endsWith(".ts") && !LEFT_OUT.has(name));
  return files.sort().flatMap((file) => mutantsOf(file, readFileSync(join(folder, file), "utf8")));
}

export function mutantsOf(file: string, source: string): Mutant[] {
  const tree = ts.createSourceFile(file, source, ts.ScriptTarget.Latest, true);
  const mutants: Mutant[] = [];
  const seen = new Map<string, number>();

  /** Puts `text` in the place of a part of `node`, or of all of it. */
  function mutate(node: ts.Node, text: string, part: ts.Node = node): void {
    const was = shortened(node.getText());
    const start = part.getStart();
    const whole = shortened(source.slice(node.getStart(), start) + text + source.slice(part.getEnd(), node.getEnd()));
    const name = `${file} ${nameOf(node)}: ${was} → ${whole || "nothing"}`;
    const count = (seen.get(name) ?? 0) + 1;
    seen.set(name, count);
    const { line } = tree.getLineAndCharacterOfPosition(start);
    const id = count === 1 ? name : `${name} (${count})`;
    mutants.push({ id, file, line: line + 1, start, end: part.getEnd(), text });
  }

  function visit(node: ts.Node): void {
    if (isOutside(node)) return;
    if (ts.isBinaryExpression(node)) {
      const other = OPERATORS[node.operatorToken.getText()];
      if (other !== undefined) mutate(node, other, node.operatorToken);
      if (isStep(node)) mutate(node, String(Number(node.right.getText()) + 1), node.right);
    }
    if (ts.isPrefixUnaryExpression(node)) {
      if (node.operator === ts.SyntaxKind.ExclamationToken || node.operator === ts.SyntaxKind.TildeToken)
        mutate(node, node.operand.getText());
    }
    if (ts.isExpressionStatement(node)) mutate(node, "{}");
    if (ts.isIfStatement(node)) {
      mutate(node.expression, "true");
      mutate(node.expression, "false");
    }
    if (ts.isConditionalExpression(node)) {
      mutate(node, node.whenTrue.getText());
      mutate(node, node.whenFalse.getText());
    }
    if (ts.isReturnStatement(node) && node.expression !== undefined) {
      if (node.expression.kind === ts.SyntaxKind.TrueKeyword) mutate(node, "return false;");
      if (node.expression.kind === ts.SyntaxKind.FalseKeyword) mutate(node, "return true;");
    }
    if (ts.isCallExpression(node)) {
      const callee = ts.isPropertyAccessExpression(node.expression) ? node.expression.name : node.expression;
      const other = SWAPPED[callee.getText()];
      if (other !== undefined) mutate(node, other, callee);
    }
    if (ts.isVariableDeclaration(node) && isConstant(node)) {
      const value = node.initializer as ts.NumericLiteral;
      mutate(node, String(Number(value.getText().replaceAll("_", "")) + 1), value);
    }
    ts.forEachChild(node, visit);
  }

  visit(tree);
  return mutants;
}

/** Types, decorators, what is decided when the core is compiled, and checks. */
function isOutside(node: ts.Node): boolean {
  if (ts.isImportDeclaration(node) || ts.isTypeNode(node) || ts.isDecorator(node)) return true;
  if (ts.isMethodDeclaration(node) || ts.isFunctionDeclaration(node)) return CHECKS.has(node.name?.getText() ?? "");
  if (ts.isIfStatement(node)) return /ASC_NO_ASSERT/.test(node.expression.getText()) || isOutside(node.thenStatement);
  if (ts.isExpressionStatement(node)) return isOutside(node.expression);
  return ts.isCallExpression(node) && CHECKS.has(node.expression.getText());
}

function isStep(node: ts.BinaryExpression): boolean {
  const operator = node.operatorToken.getText();
  return (operator === "+" || operator === "-") && ts.isNumericLiteral(node.right);
}

/** A number of a module, unless it only tells its kind from others within the core. */
function isConstant(node: ts.VariableDeclaration): boolean {
  const { initializer, name } = node;
  if (/^(PHASE|GOAL|EVENT|ACTION|BATCH)_[A-Z]+$/.test(name.getText())) return false;
  return initializer !== undefined && ts.isNumericLiteral(initializer) && ts.isSourceFile(node.parent.parent.parent);
}

function nameOf(node: ts.Node): string {
  for (let at: ts.Node | undefined = node; at !== undefined; at = at.parent) {
    if (ts.isFunctionDeclaration(at) || ts.isMethodDeclaration(at)) return at.name?.getText() ?? "";
  }
  return "module";
}

function shortened(text: string): string {
  const line = text
    .replace(/\/\*.*?\*\/|\/\/.*$/gms, "")
    .replace(/\s+/g, " ")
    .trim();
  return line.length <= WAS_CHARACTERS_MAX ? line : `${line.slice(0, WAS_CHARACTERS_MAX)}…`;
}
