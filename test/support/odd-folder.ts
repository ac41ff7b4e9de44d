import { execFileSync } from 'node:child_process'
import * as fs from 'node:fs'

/** What the folder holds; byte strings in hex. */
export interface OddFolder {
  readonly names: readonly string[]
  readonly linkTargets: Readonly<Record<string, string>>
  readonly attributes: Readonly<Record<string, Readonly<Record<string, string>>>>
}

const bytes = (text: string): Buffer => Buffer.from(text, 'latin1')
const utf8 = (text: string): Buffer => Buffer.from(text, 'utf8')

const fileNames: readonly Buffer[] = [
  bytes('plain.txt'),
  bytes('a"b\\c'),
  bytes('bad\xff'),
  bytes('half\xe2\x82'),
  bytes('\xed\xa0\x80surrogate'),
  bytes('tab\there'),
  bytes('line\nfeed'),
  bytes('all\x01\x07\x08\x0b\x0c\r\x1b\x7fcontrols'),
  bytes('<tag>&amp'),
  bytes("it's `odd` $(x) *?[a]"),
  bytes('-rf'),
  bytes(' leading and trailing '),
  utf8('soft\u00adhyphen'),
  utf8('no\u00a0break'),
  utf8('zero\u200dwidth\ufeff'),
  utf8('sep\u2028ar\u2029ator'),
  utf8('next\u0085line'),
  utf8('private\ue000'),
  utf8('tag\u{e0001}'),
  utf8('\u{1f600}'),
  utf8('\u6f22\u5b57'),
  utf8('e\u0301 and \u00e9'),
  utf8('\ufffd'),
  utf8('\u0416\u0443\u043a'),
  utf8('\u0378unassigned'),
  utf8('\u{1fae9}after unicode 15'),
  bytes('x'.repeat(255)),
]

const linkTargets: Readonly<Record<string, Buffer>> = {
  'link-plain': bytes('plain.txt'),
  'link-dangling': bytes('../nowhere/<at>&all'),
  'link-invalid': bytes('bad\xff\xfe/\xe2\x82'),
  'link-utf8': utf8('\u6f22\u2028\u00a0'),
  'link-controls': bytes('a\tb\nc\x01\x7f"\\'),
}

const attributes: Readonly<Record<string, Readonly<Record<string, Buffer>>>> = {
  'plain.txt': {
    'user.second': bytes('bar'),
    'user.first': bytes('\x00\xff'),
    'user.empty': bytes(''),
    'user.<&>': bytes('x'),
  },
}

/** Makes a folder with everything a file system of Linux lets one name or be. Needs root and setfattr. */
export function makeOddFolder(path: string): OddFolder {
  fs.mkdirSync(path)
  const at = (name: Buffer | string): Buffer => Buffer.concat([bytes(`${path}/`), Buffer.from(name)])
  for (const name of fileNames) fs.writeFileSync(at(name), name)
  for (const [name, target] of Object.entries(linkTargets)) fs.symlinkSync(target, at(name))
  fs.writeFileSync(at('empty'), '')
  fs.linkSync(at('plain.txt'), at('hard link'))
  fs.mkdirSync(at('dir-empty'))
  fs.mkdirSync(at('dir-sticky'))
  fs.chmodSync(at('dir-sticky'), 0o1777)
  fs.mkdirSync(at('dir-setgid'))
  fs.chmodSync(at('dir-setgid'), 0o2755)
  fs.writeFileSync(at('setuid'), 'x')
  fs.chmodSync(at('setuid'), 0o4755)
  fs.writeFileSync(at('no-rights'), 'x')
  fs.chmodSync(at('no-rights'), 0)
  fs.writeFileSync(at('foreign-owner'), 'x')
  fs.chownSync(at('foreign-owner'), 4_000_000_000, 4_000_000_001)
  execFileSync('mknod', ['-m', '640', `${path}/block`, 'b', '7', '300'])
  execFileSync('mknod', ['-m', '666', `${path}/char`, 'c', '1', '3'])
  execFileSync('mknod', ['-m', '644', `${path}/fifo`, 'p'])
  for (const [name, values] of Object.entries(attributes))
    for (const [attribute, value] of Object.entries(values))
      execFileSync('setfattr', [
        '-n',
        attribute,
        ...(value.length === 0 ? [] : ['-v', `0x${value.toString('hex')}`]),
        `${path}/${name}`,
      ])
  setTimes(at('empty'), -1.5)
  setTimes(at('plain.txt'), 1_600_000_000.25)
  setTimes(at('setuid'), 4_102_444_800)
  setTimes(at('dir-empty'), 1_700_000_000)
  const hex = (values: Readonly<Record<string, Buffer>>): Record<string, string> =>
    Object.fromEntries(Object.entries(values).map(([key, value]) => [key, value.toString('hex')]))
  return {
    names: (fs.readdirSync(path, { encoding: 'buffer' }) as Buffer[])
      .sort(Buffer.compare)
      .map((name) => name.toString('hex')),
    linkTargets: hex(linkTargets),
    attributes: Object.fromEntries(Object.entries(attributes).map(([name, values]) => [name, hex(values)])),
  }
}

const setTimes = (path: Buffer, seconds: number): void => fs.lutimesSync(path, seconds, seconds)
