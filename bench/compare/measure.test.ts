import { expect, test } from 'vitest'
import { measure, parseTimes } from './measure.ts'

const node = (script: string): readonly string[] => [process.execPath, '-e', script]

test('wall and CPU time are those of the command', async () => {
  const idle = await measure(['sleep', '0.3'])
  expect(idle.wallMs).toBeGreaterThan(295)
  expect(idle.cpuMs).toBeLessThan(100)
  const busy = await measure(node('const end = process.cpuUsage().user + 2e5; while (process.cpuUsage().user < end);'))
  expect(busy.cpuMs).toBeGreaterThanOrEqual(190)
})

test('peak memory is that of the command, with what it starts', async () => {
  const hold = 'const held = Buffer.alloc(2e8, 1); setTimeout(() => held.length, 200)'
  const { peakBytes } = await measure(node(hold))
  expect(peakBytes).toBeGreaterThan(2e8)
  expect(peakBytes).toBeLessThan(5e8)
  const nested = await measure(['/bin/sh', '-c', '"$@"; true', 'sh', ...node(hold)])
  expect(nested.peakBytes).toBeGreaterThan(2e8)
})

test('exit code and output are passed on', async () => {
  const result = await measure(node('console.log("out"); console.error("err"); process.exit(3)'))
  expect(result).toMatchObject({ exitCode: 3, stdout: 'out\n', stderr: 'err\n' })
  expect((await measure(['/nowhere/restic'])).exitCode).toBe(127)
})

test('arguments are not read by the shell', async () => {
  const { stdout } = await measure([
    process.execPath,
    '-e',
    'console.log(JSON.stringify(process.argv.slice(1)))',
    '--',
    '$HOME',
    'a b',
    '"; false',
  ])
  expect(JSON.parse(stdout)).toEqual(['$HOME', 'a b', '"; false'])
})

test('the lines of `times` are read as dash and bash write them', () => {
  expect(parseTimes('0m0.00s 0m0.00s\n0m1.25s 1m0.50s\n')).toBe(61_750)
  expect(parseTimes('0m0.000000s 0m0.010000s\n0m0.120000s 0m0.030000s\n')).toBe(150)
  expect(() => parseTimes('sh: times: not found\n')).toThrow('not the output of times')
})
