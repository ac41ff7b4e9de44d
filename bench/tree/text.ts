import { createRandom, type Random } from './random.ts'
import { words } from './words.ts'

/** Kinds of text the tree holds; each is a set of line templates over a vocabulary of the file's own. */
export type TextKind = 'typescript' | 'python' | 'c' | 'json' | 'log' | 'csv' | 'sql' | 'markdown' | 'html' | 'mail'

/**
 * Placeholders in a line, written as one control character each:
 * identifier of the file, word, sentence, small integer, large integer, 8 hex digits, UUID, time that moves on, decimal, base64 line,
 * key that counts up.
 */
const holes = { I: 1, W: 2, S: 3, N: 4, M: 5, X: 6, U: 7, T: 8, F: 9, B: 11, K: 12 } as const
const hole = (letter: keyof typeof holes): string => String.fromCharCode(holes[letter])

/** `{I}` and so on become placeholders. */
const line = (template: string): Uint8Array =>
  Buffer.from(
    template.replace(/\{([IWSNMXUTFBK])\}/g, (_, letter: keyof typeof holes) => hole(letter)),
    'latin1',
  )

interface Style {
  /** How many identifiers the file has: fewer repeat more. */
  readonly vocabulary: number
  readonly lines: readonly Uint8Array[]
}

const style = (vocabulary: number, templates: readonly string[]): Style => ({ vocabulary, lines: templates.map(line) })

const styles: Readonly<Record<TextKind, Style>> = {
  typescript: style(70, [
    "import { {I}, {I} } from './{W}/{I}.ts'\n",
    '  const {I} = {I}.{I}({I}, {N})\n',
    '  const {I} = await {I}({I}.{I}, { {I}: {I} })\n',
    '  if ({I}.{I} === undefined) return {I}\n',
    '    {I}.{I}({I}[{I}]!, {I})\n',
    '  for (const {I} of {I}.{I}) {\n    {I}({I})\n  }\n',
    '\n/** {S}. */\nexport function {I}({I}: {I}, {I}: number): {I} {\n',
    '  // {S}\n  // {S}\n',
    '  return {I}.{I}({I} => {I}.{I} + {N})\n}\n',
    '    throw new Error("{W} {W} {W} {W}: " + {I})\n',
    '  {I}: {I},\n  {I}: {N},\n',
    "test('{W} {W} {W} {W} {W}', () => {\n  expect({I}({I})).toEqual({N})\n})\n",
  ]),
  python: style(60, [
    'from {W}.{I} import {I}\n',
    '    {I} = {I}.{I}({I}, {I}={N})\n',
    '    if {I} is None:\n        raise ValueError("{W} {W} {W}")\n',
    '        self.{I} = {I}\n',
    '    for {I} in {I}.{I}:\n        {I}.append({I}[{N}])\n',
    '\n    def {I}(self, {I}, {I}=None):\n        """{S}.\n\n        {S}.\n        """\n',
    '    # {S}\n',
    '    return {I}({I}, {I})\n',
    '    assert {I} == {N}\n',
  ]),
  c: style(80, [
    '#include "{I}.h"\n',
    '\tif (!{I} || {I}->{I} < {N})\n\t\treturn -{N};\n',
    '\t{I}->{I} = {I}({I}, {I}, sizeof(*{I}));\n',
    '\tfor (i = 0; i < {I}->{I}; i++)\n\t\t{I}[i] = {I}(i, {N});\n',
    '/*\n * {S}.\n * {S}.\n */\nstatic int {I}(struct {I} *{I}, unsigned long {I})\n{\n',
    '\tunsigned int {I} = 0x{X};\n',
    '\tspin_lock_irqsave(&{I}->{I}, {I});\n',
    '\treturn {I};\n}\n\n',
    '#define {I}_{N} 0x{X}\n',
  ]),
  json: style(24, [
    '  {"id": "{U}", "{I}": "{W} {W}", "created": "{T}", "{I}": {M}, "{I}": {F}},\n',
    '  {"id": "{U}", "{I}": "{W}", "created": "{T}", "{I}": ["{W}", "{W}"], "{I}": {N}},\n',
    '  {"{I}": {"{I}": {N}, "{I}": true, "{I}": null}, "note": "{S}"},\n',
  ]),
  log: style(40, [
    '{T} INFO  [{I}] request {X} GET /api/v1/{I}/{N} 200 {N}ms\n',
    '{T} INFO  [{I}] request {X} POST /api/v1/{I} 201 {N}ms bytes={M}\n',
    '{T} DEBUG [{I}] {W} {W} {W} for {I} took {F} ms\n',
    '{T} WARN  [{I}] connection to 10.0.{N}.{N}:5432 lost, retrying in {N}00 ms\n',
    '{T} ERROR [{I}] {W} {W} failed: {S}\n    at {I}.{I} ({I}.js:{M})\n    at {I} ({I}.js:{M})\n',
  ]),
  csv: style(30, [
    '{K},{T},{I},{I},{F},{N},{W} {W}\n',
    '{K},{T},{I},{F},,{N},{W}\n',
    '{K},{T},{I},{F},0.00,{N},"{S}"\n',
  ]),
  sql: style(16, [
    '{K}\t{I}\t{T}\t{I}\t{N}.00\tEUR\t\\N\twaiting for payment\tweb shop\t{I}\n',
    '{K}\t{I}\t{T}\t{W} {W}\t{N}.50\tEUR\t2024-03-01T00:00:00.000Z\tdelivered to the door\tshop\n',
    '{K}\t{X}\t{T}\t{S}. {S}.\t{N}.00\tUSD\t\\N\tactive\t{I}\n',
  ]),
  markdown: style(40, [
    '\n## {W} {W} {W}\n\n',
    '{S}. {S}. {S}.\n{S}.\n',
    '- `{I}`: {S}\n',
    '{S}, {S}.\n\n',
    '```js\nconst {I} = require("{I}")\n{I}.{I}({I}, {N})\n```\n',
    '| `{I}` | {W} {W} | {N} |\n',
  ]),
  html: style(40, [
    '<p>{S}. {S}.</p>\n',
    '<li><a class="{I}" href="/{W}/{I}.html">{W} {W}</a></li>\n',
    '<div id="{I}-{N}" class="{I} {I}"><span>{W} {W}</span></div>\n',
    '<td>{S}</td><td>{F}</td>\n',
  ]),
  mail: style(20, [
    'Content-Type: text/plain; charset="utf-8"\nContent-Transfer-Encoding: quoted-printable\nMIME-Version: 1.0\n',
    'Received: from {I}.example.org (10.{N}.{N}.{N}) by {I}.example.com id {X}; {T}\n',
    '{S}. {S}. {S}.\n\n',
    '> {S}\n> {S}\n',
    'Message-ID: <{U}@example.org>\nSubject: {W} {W} {W}\n\n',
    '{S}. {S}.\n{B}\n',
  ]),
}

/** The longest a single filled template may get: `out` of fillText needs this much room after `length`. */
export const TEXT_SLACK_BYTES = 4096

/**
 * Writes `length` bytes of text of `kind` to the start of `out`, which must be TEXT_SLACK_BYTES longer than that (what lies beyond `length` is
 * scribbled on). Every file of the same kind and seed has the same bytes; a longer one begins like a shorter one.
 */
export function fillText(kind: TextKind, out: Uint8Array, length: number, seed: number): void {
  const random = createRandom(seed, 1)
  const { lines, vocabulary } = styles[kind]
  const writer = createWriter(out, random, inventIdentifiers(random, vocabulary))
  // Lines come in runs: what stands together in real text resembles itself.
  while (writer.at() < length) {
    const template = lines[random.below(lines.length)]!
    for (let run = random.below(4); run >= 0 && writer.at() < length; run--) writer.fill(template)
  }
}

/** Identifiers of two words, the second with a capital letter. */
function inventIdentifiers(random: Random, count: number): readonly Uint8Array[] {
  const { bytes, starts, frequent, count: wordCount } = words()
  const identifiers: Uint8Array[] = []
  while (identifiers.length < count) {
    const first = frequent[random.next() >>> 16]!
    const second = random.below(wordCount)
    const a = bytes.subarray(starts[first]!, starts[first + 1]!)
    const b = Uint8Array.from(bytes.subarray(starts[second]!, starts[second + 1]!))
    b[0] = b[0]! - 32 // a capital
    identifiers.push(random.below(3) === 0 ? a : Buffer.concat([a, b]))
  }
  return identifiers
}

interface Writer {
  at(): number
  fill(template: Uint8Array): void
}

const SPACE = 32
const DASH = 45
const DOT = 46
const hexDigits = Buffer.from('0123456789abcdef', 'latin1')
const base64Digits = Buffer.from('ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/', 'latin1')

function createWriter(out: Uint8Array, random: Random, identifiers: readonly Uint8Array[]): Writer {
  const list = words()
  const sentences: number[] = []
  let sentenceCount = 0
  let at = 0
  let key = 1000 + random.below(1_000_000)
  let seconds = 1_700_000_000 + random.below(50_000_000)

  const copy = (source: Uint8Array, from: number, to: number): void => {
    for (let i = from; i < to; i++) out[at++] = source[i]!
  }
  const word = (): void => {
    const index = list.frequent[random.next() >>> 16]!
    copy(list.bytes, list.starts[index]!, list.starts[index + 1]!)
  }
  // The product of two draws leans to the small ones: some identifiers of a file are everywhere, most are rare.
  const identifier = (): void => {
    const chosen = identifiers[Math.floor(random.fraction() * random.fraction() * identifiers.length)]!
    copy(chosen, 0, chosen.length)
  }
  const hex = (digits: number): void => {
    let bits = random.next()
    for (let i = 0; i < digits; i++) {
      out[at++] = hexDigits[bits & 15]!
      bits >>>= 4
    }
  }
  const uuid = (): void => {
    for (let group = 0; group < 5; group++) {
      if (group > 0) out[at++] = DASH
      hex(group === 0 ? 8 : 4)
    }
    hex(8)
  }
  const decimal = (value: number): void => {
    let divisor = 1
    while (divisor * 10 <= value) divisor *= 10
    for (let rest = value; divisor >= 1; divisor = Math.floor(divisor / 10)) {
      const digit = Math.floor(rest / divisor)
      out[at++] = 48 + digit
      rest -= digit * divisor
    }
  }
  const padded = (value: number, digits: number): void => {
    for (let i = digits - 1, rest = value; i >= 0; i--, rest = Math.floor(rest / 10)) out[at + i] = 48 + (rest % 10)
    at += digits
  }
  // Writers repeat themselves: some sentences of a file are taken from further up.
  const sentence = (): void => {
    const start = at
    if (sentences.length > 0 && random.below(2) === 0) {
      const from = sentences[random.below(sentences.length)]!
      for (let i = from, end = from + 24 + random.below(24); i < end && i < start; i++) out[at++] = out[i]!
      out[at++] = SPACE
      word()
      return
    }
    word()
    for (let more = 4 + random.below(9); more > 0; more--) {
      out[at++] = SPACE
      word()
    }
    sentences[sentenceCount++ % 64] = start
  }
  const time = (): void => {
    seconds += random.below(3)
    const { year, month, day } = dateOf(Math.floor(seconds / 86_400))
    padded(year, 4)
    out[at++] = DASH
    padded(month, 2)
    out[at++] = DASH
    padded(day, 2)
    out[at++] = 84
    padded(Math.floor(seconds / 3600) % 24, 2)
    out[at++] = 58
    padded(Math.floor(seconds / 60) % 60, 2)
    out[at++] = 58
    padded(seconds % 60, 2)
    out[at++] = DOT
    padded(random.below(1000), 3)
    out[at++] = 90
  }

  // By character code, so that a template is filled by looking each of its bytes up.
  const fillers: ((() => void) | undefined)[] = Array(256).fill(undefined)
  fillers[holes.I] = identifier
  fillers[holes.W] = word
  fillers[holes.S] = sentence
  fillers[holes.N] = () => decimal(random.below(256))
  fillers[holes.M] = () => decimal(1000 + random.below(9_000_000))
  fillers[holes.X] = () => hex(8)
  fillers[holes.U] = uuid
  fillers[holes.T] = time
  fillers[holes.F] = () => {
    decimal(random.below(1000))
    out[at++] = DOT
    padded(random.below(100), 2)
  }
  fillers[holes.K] = () => decimal(key++)
  fillers[holes.B] = () => {
    for (let i = 0; i < 76; i++) out[at++] = base64Digits[random.next() >>> 26]!
  }

  return {
    at: () => at,
    fill: (template) => {
      for (let i = 0; i < template.length; i++) {
        const code = template[i]!
        const filler = fillers[code]
        if (filler === undefined) out[at++] = code
        else filler()
      }
    },
  }
}

/** Calendar date of a day counted from 1970-01-01 (Howard Hinnant, "chrono-compatible low-level date algorithms"). */
function dateOf(daysSinceEpoch: number): { year: number; month: number; day: number } {
  const z = daysSinceEpoch + 719_468
  const era = Math.floor(z / 146_097)
  const dayOfEra = z - era * 146_097
  const yearOfEra = Math.floor(
    (dayOfEra - Math.floor(dayOfEra / 1460) + Math.floor(dayOfEra / 36_524) - Math.floor(dayOfEra / 146_096)) / 365,
  )
  const dayOfYear = dayOfEra - (365 * yearOfEra + Math.floor(yearOfEra / 4) - Math.floor(yearOfEra / 100))
  const shifted = Math.floor((5 * dayOfYear + 2) / 153)
  const month = shifted < 10 ? shifted + 3 : shifted - 9
  return {
    year: yearOfEra + era * 400 + (month <= 2 ? 1 : 0),
    month,
    day: dayOfYear - Math.floor((153 * shifted + 2) / 5) + 1,
  }
}
