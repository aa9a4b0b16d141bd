/**
 * The end of a text that was cut off, with what it had opened closed: `It **fa` is `It **fa**`.
 *
 * Nobody will say the closing marks any more, and without them Markdown takes the opening ones for
 * text. Only the last paragraph (item, heading, line of a table) can have any open.
 */

/** The line that a paragraph begins with, for it is a list's, a heading's or a table's. */
const BEGINNING = /^\s*([-+*>#|]|\d+[.)])/;

/** A link whose address is not all there: its text is. */
const LINK = /!?\[([^[\]]*)\]\([^()\s]*$/;

const MARKS = /`+|\*+|_+|~~/g;

/** The text with the marks that are missing at its end, and without half of one. */
export function closed(text: string): string {
  const from = start(text);
  return text.slice(0, from) + mended(text.slice(from));
}

/** Where the last paragraph begins. */
function start(text: string): number {
  const lines = text.split('\n');
  let from = text.length + 1;
  for (const line of lines.reverse()) {
    if (line.trim() === '') break;
    from -= line.length + 1;
    if (BEGINNING.test(line)) break;
  }
  return Math.min(from, text.length);
}

function mended(paragraph: string): string {
  const said = paragraph.trimEnd().replace(LINK, '$1');
  const open = opened(said);
  const bare = said.slice(0, open.upto).trimEnd();
  return bare + open.marks.reverse().join('');
}

interface Open {
  marks: string[];
  /** Where the text ends, but for marks at its end that open and close nothing. */
  upto: number;
}

/** The marks that wait for another, the outermost first. */
function opened(text: string): Open {
  const marks: string[] = [];
  let upto = text.length;
  for (const { 0: mark, index } of text.matchAll(MARKS)) {
    const [before, after] = [text[index - 1] ?? ' ', text[index + mark.length] ?? ' '];
    const code = marks.at(-1)?.startsWith('`') === true;
    if (marks.at(-1) === mark && (code || before.trim() !== '')) marks.pop();
    else if (code || text[index - 1] === '\\') continue;
    else if (after.trim() !== '' && !within(mark, before)) marks.push(mark);
    else if (index + mark.length === text.length) upto = index;
  }
  return { marks, upto };
}

/** In `snake_case` a line below is a letter as others are. */
function within(mark: string, before: string): boolean {
  return mark.startsWith('_') && /\w/.test(before);
}
