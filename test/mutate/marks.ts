// Which tests run which statements of the core: a core that tells its host what it runs.

import { readdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import ts from "typescript";
import { LEFT_OUT } from "./mutants.ts";

/** Statements of a function, of which all are run or none. Its mark is its place among all runs of the core. */
interface Run {
  start: number;
  end: number;
  /** Stands where a block may stand as well, and needs braces of its own. */
  isAlone: boolean;
}

const IMPORT = `@external("marks", "mark")\nexport declare function tellMark(at: i32): void;\n`;

export class Marks {
  private readonly runs = new Map<string, Run[]>();
  private readonly firstMarks = new Map<string, number>();

  constructor(private readonly folder: string) {
    let count = 0;
    for (const file of readdirSync(folder).filter((name) => name.endsWith(".ts") && !LEFT_OUT.has(name))) {
      const runs = runsOf(readFileSync(join(folder, file), "utf8"));
      this.runs.set(file, runs);
      this.firstMarks.set(file, count);
      count += runs.length;
    }
  }

  /** Of the innermost run at a place; undefined outside of functions, where all runs when a core is made. */
  markAt(file: string, at: number): number | undefined {
    const runs = this.runs.get(file) ?? [];
    // Those within others come after them.
    const index = runs.map(({ start, end }) => start <= at && at < end).lastIndexOf(true);
    return index < 0 ? undefined : (this.firstMarks.get(file) as number) + index;
  }

  /** Puts the marks into the files, runs, and takes them out again. */
  async during<T>(run: () => Promise<T>): Promise<T> {
    const sources = new Map([...this.runs.keys()].map((file) => [file, readFileSync(join(this.folder, file), "utf8")]));
    const imported = join(this.folder, "marks.ts");
    try {
      writeFileSync(imported, IMPORT);
      for (const [file, source] of sources) writeFileSync(join(this.folder, file), this.marked(file, source));
      return await run();
    } finally {
      rmSync(imported);
      for (const [file, source] of sources) writeFileSync(join(this.folder, file), source);
    }
  }

  private marked(file: string, source: string): string {
    const first = this.firstMarks.get(file) as number;
    const insertions = (this.runs.get(file) as Run[]).flatMap(({ start, end, isAlone }, index) => {
      const call = `tellMark(${first + index});`;
      return isAlone
        ? [
            { at: start, text: `{ ${call}` },
            { at: end, text: "}" },
          ]
        : [{ at: start, text: call }];
    });
    // From the back, so that places stay right; no two runs begin at the same place.
    let text = source;
    insertions.sort((a, b) => b.at - a.at);
    for (const insertion of insertions) text = text.slice(0, insertion.at) + insertion.text + text.slice(insertion.at);
    return `import { tellMark } from "./marks"; ${text}`;
  }
}

/** The outer ones before those within them. */
function runsOf(source: string): Run[] {
  const tree = ts.createSourceFile("", source, ts.ScriptTarget.Latest, true);
  const runs: Run[] = [];
  function visit(node: ts.Node): void {
    if (ts.isBlock(node) || ts.isCaseOrDefaultClause(node)) {
      let isBegun = false;
      for (const statement of node.statements) {
        if (isBegun) (runs.at(-1) as Run).end = statement.getEnd();
        else runs.push({ start: statement.getStart(), end: statement.getEnd(), isAlone: false });
        isBegun = !mayLeave(statement);
      }
    } else if (ts.isStatement(node) && isBody(node)) {
      runs.push({ start: node.getStart(), end: node.getEnd(), isAlone: true });
    }
    ts.forEachChild(node, visit);
  }
  visit(tree);
  return runs;
}

/** What an if, an else or a loop does. */
function isBody({ parent }: ts.Node): boolean {
  return parent !== undefined && (ts.isIfStatement(parent) || ts.isIterationStatement(parent, false));
}

/** Whether what stands behind may be left out. */
function mayLeave(node: ts.Node): boolean {
  const leaves =
    ts.isReturnStatement(node) ||
    ts.isBreakStatement(node) ||
    ts.isContinueStatement(node) ||
    ts.isThrowStatement(node);
  return leaves || (ts.forEachChild(node, (child) => mayLeave(child) || undefined) ?? false);
}
