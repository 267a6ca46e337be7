import { keepLegRules } from "../node/mirrors/leg-rules.ts";

/** After each command that may change which devices are legs. What fails is told, and the command has done its work nevertheless. */
export async function tellUdev(mirrorsDir: string): Promise<void> {
  const problem = await keepLegRules(mirrorsDir);
  if (problem !== undefined) console.error(`dm-ulog: ${problem}`);
}
