// The frame of tests that are programs of their own, because they need Debian packages: each check by its name, and the line
// that sums them up.

export class Checks {
  private passed = 0;
  private failed = 0;

  /** Runs one; a body that throws has failed. */
  readonly check = async (name: string, body: () => unknown): Promise<void> => {
    try {
      await body();
      this.passed++;
      console.log(`  passed  ${name}`);
    } catch (error) {
      this.failed++;
      console.log(`  FAILED  ${name}\n${error instanceof Error ? error.stack : String(error)}`);
      // What a program printed that has failed.
      const { stdout, stderr } = Object(error) as { stdout?: unknown; stderr?: unknown };
      if (stdout || stderr) console.log(`${stdout}\n${stderr}`);
    }
  };

  /** Prints the counts, and returns the exit status. */
  end(): number {
    console.log(`${this.passed} passed, ${this.failed} failed`);
    return this.failed === 0 && this.passed > 0 ? 0 : 1;
  }
}

export type Check = Checks["check"];
