/** A line on the guest's console, with the seconds since this process began: it stands among the kernel's own lines. */
export function say(text: string): void {
  console.log(`[${(performance.now() / 1000).toFixed(2).padStart(6)}] ${text}`);
}
