// Light or dark: as the system says, unless the person has chosen.

const KEY = "dm-ulog-theme";

export class Theme {
  /** Hears that colours have changed. */
  onChange: () => void = () => {};

  constructor(private readonly button: HTMLButtonElement) {
    const chosen = read();
    if (chosen !== null) document.documentElement.dataset.theme = chosen;
    button.addEventListener("click", () => this.toggle());
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", () => this.changed());
    this.label();
  }

  toggle(): void {
    const next = this.isDark ? "light" : "dark";
    document.documentElement.dataset.theme = next;
    try {
      localStorage.setItem(KEY, next);
    } catch {
      // Colours change even if the browser forbids storage.
    }
    this.changed();
  }

  private get isDark(): boolean {
    const { theme } = document.documentElement.dataset;
    return theme === undefined ? matchMedia("(prefers-color-scheme: dark)").matches : theme === "dark";
  }

  private changed(): void {
    this.label();
    this.onChange();
  }

  private label(): void {
    this.button.textContent = this.isDark ? "Light" : "Dark";
  }
}

function read(): string | null {
  try {
    const chosen = localStorage.getItem(KEY);
    return chosen === "light" || chosen === "dark" ? chosen : null;
  } catch {
    return null;
  }
}
