// JSON that keeps each number as it was written, and the order of keys. JavaScript would change 1e16, 1.0, -0.0,
// 1234567890123456789 and 1e400 without a word.

/** A value that JavaScript cannot hold unchanged. `source` is its JSON, `value` the nearest JavaScript value. */
export class Exact {
  constructor(source, value) {
    this.source = source;
    this.value = value;
  }
  toString() {
    return this.source;
  }
  toJSON() {
    return MARK + this.source;
  }
}

// JSON.stringify writes an Exact as a marked string, and `write` unwraps it. No task can know the mark.
const MARK = `exact-${crypto.getRandomValues(new Uint32Array(4)).join("-")}:`;
const MARKED = new RegExp(`"${MARK}((?:[^"\\\\]|\\\\.)*)"`, "g");
const INDEX = /^(0|[1-9]\d*)$/,
  NUMBER = /^-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?$/;
/** Members of answers that users wrote. All other numbers are ours and fit. */
const OF_USERS = new Set(["payload", "result", "error", "data"]);
/** Every number that JavaScript changes looks like this. Others may, too. */
const MAY_CHANGE = /\d{16}|\d[eE]|\.\d*0(?!\d)|\.\d{15}|-0/;

/** Return the value without its exact form: of an object an object, of a number a number. */
export const plain = (value) => (value instanceof Exact ? value.value : value);

/** Parse a JSON text and keep all of it. Raises SyntaxError, also for a doubled key. */
export function parse(text) {
  JSON.parse(text); // the reader below expects valid JSON
  return new Reader(text, true).value();
}

/** Parse an answer of the API. Numbers in values of users are kept. */
export function read(text) {
  const document = JSON.parse(text);
  return MAY_CHANGE.test(text) ? new Reader(text, false).value() : document;
}

/** Return a number as it is written; undefined for a text that is no number of JSON. */
export const numberOf = (text) => (NUMBER.test(text) ? exactNumber(text) : undefined);

function exactNumber(source) {
  const value = Number(source);
  return String(value) === source ? value : new Exact(source, value);
}

/** Write a value as compact JSON; numbers that were kept are written as they were. */
export const write = (value) => JSON.stringify(value)?.replace(MARKED, (_all, source) => JSON.parse(`"${source}"`));

/** Return the string that begins at a place. A regular expression overflows its stack at megabytes. */
function stringAt(text, begin) {
  for (let end = text.indexOf('"', begin + 1); ; end = text.indexOf('"', end + 1)) {
    let escapes = 0;
    while (text[end - 1 - escapes] === "\\") escapes += 1;
    if (escapes % 2 === 0) return text.slice(begin, end + 1);
  }
}

const TOKEN = /\s|[^\s{}[\],:"]+|./y;

/** Return a mark, a number, a word or one white space that begins at a place. */
function tokenAt(text, begin) {
  TOKEN.lastIndex = begin;
  return TOKEN.exec(text)[0];
}

/** Indent a JSON text. Only white space changes. */
export function indented(text) {
  const tokens = [];
  for (let at = 0; at < text.length;) {
    const token = text[at] === '"' ? stringAt(text, at) : tokenAt(text, at);
    at += token.length;
    if (token.trim()) tokens.push(token);
  }
  let made = "",
    depth = 0;
  const line = () => `\n${"  ".repeat(depth)}`;
  tokens.forEach((token, at) => {
    const next = tokens[at + 1];
    if (token === "{" || token === "[") {
      depth += 1;
      made += token;
      if (next !== "}" && next !== "]") made += line();
    } else if (token === "}" || token === "]") {
      depth -= 1;
      const before = tokens[at - 1];
      made += (before === "{" || before === "[" ? "" : line()) + token;
    } else if (token === ",") made += token + line();
    else made += token === ":" ? ": " : token;
  });
  return made;
}

/** Reads valid JSON. `isWhole`: keep all numbers and the order of keys; otherwise the numbers of users. */
class Reader {
  constructor(text, isWhole) {
    Object.assign(this, { text, isWhole, keeps: isWhole, at: 0 });
  }

  space() {
    while (this.text.charCodeAt(this.at) <= 32) this.at += 1;
  }

  string() {
    const source = stringAt(this.text, this.at);
    this.at += source.length;
    return source.includes("\\") ? JSON.parse(source) : source.slice(1, -1);
  }

  /** Return a number, true, false or null as it is written. */
  word() {
    const begin = this.at;
    for (let code; (code = this.text.charCodeAt(this.at)) > 32 && code !== 44 && code !== 93 && code !== 125;)
      this.at += 1;
    return this.text.slice(begin, this.at);
  }

  value() {
    this.space();
    const first = this.text[this.at];
    if (first === '"') return this.string();
    if (first === "{") return this.object();
    if (first === "[") return this.list();
    const word = this.word();
    if (first === "t" || first === "f" || first === "n") return JSON.parse(word);
    return this.keeps ? exactNumber(word) : Number(word);
  }

  /** Step over a comma; return whether the list or object ends here. */
  isAtEnd(mark) {
    this.space();
    if (this.text[this.at] === ",") {
      this.at += 1;
      this.space();
    }
    const isEnd = this.text[this.at] === mark;
    if (isEnd) this.at += 1;
    return isEnd;
  }

  list() {
    const made = [];
    this.at += 1;
    while (!this.isAtEnd("]")) made.push(this.value());
    return made;
  }

  object() {
    const begin = this.at,
      entries = new Map();
    let isReordered = false;
    this.at += 1;
    while (!this.isAtEnd("}")) {
      const name = this.string();
      this.space();
      this.at += 1; // the colon
      if (this.isWhole && entries.has(name)) throw new SyntaxError(`the key ${JSON.stringify(name)} occurs twice`);
      isReordered ||= INDEX.test(name); // JavaScript sorts such keys to the front
      entries.set(name, this.member(name));
    }
    const made = Object.fromEntries(entries);
    return isReordered && this.isWhole ? new Exact(this.text.slice(begin, this.at), made) : made;
  }

  member(name) {
    const keeps = this.keeps;
    this.keeps ||= OF_USERS.has(name);
    const value = this.value();
    this.keeps = keeps;
    return value;
  }
}
