import { execFileSync } from 'node:child_process'
import { expect, test } from 'vitest'
import { argumentBytes } from './argument-bytes.ts'

const lineOf =
  (...args: readonly (string | readonly number[])[]) =>
  () =>
    Buffer.concat(
      args.flatMap((arg) => [typeof arg === 'string' ? Buffer.from(arg) : Buffer.from(arg), Buffer.alloc(1)]),
    )

const never = (): never => {
  throw new Error('has no need to look')
}

test('an argument that is UTF-8 is what it is', () => {
  expect(argumentBytes('/srv/naïve', never)).toEqual(Buffer.from('/srv/naïve'))
})

test('bytes that are not UTF-8 are found again', () => {
  const raw = [0x2f, 0x61, 0xff, 0x62]
  expect([...argumentBytes('/a\ufffdb', lineOf('node', 'backup', raw, '/c'))]).toEqual(raw)
  expect([...argumentBytes('/a\ufffdb', lineOf(raw, raw))]).toEqual(raw)
  expect(() => argumentBytes('/a\ufffdb', lineOf(raw, [0x2f, 0x61, 0xfe, 0x62]))).toThrow('several arguments')
})

test('a file whose name really holds the replacement character, and a system that does not tell', () => {
  expect(argumentBytes('/a\ufffd', lineOf('/a\ufffd'))).toEqual(Buffer.from('/a\ufffd'))
  expect(argumentBytes('/a\ufffd', () => undefined)).toEqual(Buffer.from('/a\ufffd'))
})

test.runIf(process.platform === 'linux')('works on what Node makes of a real argument', () => {
  const module = new URL('argument-bytes.ts', import.meta.url).href
  const script = `const { argumentBytes } = await import('${module}'); console.log(Buffer.from(argumentBytes(process.argv[1])).toString('hex'))`
  // printf makes the bytes: an argument of Node's own child processes is always UTF-8.
  const line = '"$1" --input-type=module -e "$2" "$(printf "x\\\\377\\\\303(y\\\\360\\\\237z")"'
  expect(execFileSync('sh', ['-c', line, 'sh', process.execPath, script], { encoding: 'utf8' }).trim()).toBe(
    '78ffc32879f09f7a',
  )
})
