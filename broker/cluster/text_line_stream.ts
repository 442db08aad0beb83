/** Text in chunks -> whole lines without their line feeds. */

/** A line longer than this is passed on in pieces. */
const LONGEST_LINE = 1024 * 1024;

export class TextLineStream extends TransformStream<string, string> {
  constructor() {
    let rest = "";
    super({
      transform(chunk, controller) {
        const lines = (rest + chunk).split("\n");
        rest = lines.pop() ?? "";
        for (const line of lines) controller.enqueue(line);
        if (rest.length > LONGEST_LINE) {
          controller.enqueue(rest);
          rest = "";
        }
      },
      flush(controller) {
        if (rest !== "") controller.enqueue(rest);
      },
    });
  }
}
