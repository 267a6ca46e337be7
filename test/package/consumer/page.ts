import { life } from "./life.js";

const show = (text: string) => {
  document.body.dataset.result = text;
};
life().then(
  (result) => show(JSON.stringify(result)),
  (error: unknown) => show(`FAILED ${error instanceof Error ? error.stack : String(error)}`),
);
