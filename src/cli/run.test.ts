import { describe, expect, test } from 'vitest'
import { Collector, entryOf, type Outcome, play, stage } from '../../test/support/stage.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { AnyCommand, Command } from './command.ts'
import type { CommandContext } from './context.ts'
import { flag, type OptionTable } from './options/option.ts'
import type { Registry } from './registry.ts'
import { run } from './run.ts'

interface Options {
  readonly fast: boolean
}

const options: OptionTable<Options> = { fast: flag('fast', 'quicker') }

function command(body: (context: CommandContext) => Promise<number>): Command<Options> {
  return {
    name: 'work',
    group: 'everyday',
    summary: 'Work',
    description: 'Works.',
    examples: [{ line: 'holdfast work one', does: 'work on one thing' }],
    options,
    arguments: [
      { name: 'thing', help: 'what to work on', required: true },
      { name: 'other', help: 'what else' },
    ],
    check({ fast }, args) {
      if (fast && args.length > 1) throw new HoldfastError('HF_USAGE', 'fast work is on one thing only')
    },
    run: body,
  }
}

const registryOf = (...commands: AnyCommand[]): Registry => ({
  commands: commands.map(entryOf),
  folders: [],
  refused: {},
  nouns: [],
})

const work = (args: readonly string[], body: (context: CommandContext) => Promise<number>): Promise<Outcome> =>
  play(['work', ...args], {}, registryOf(command(body)))

const fail =
  (code: ConstructorParameters<typeof HoldfastError>[0], message: string, hint?: string) =>
  async (): Promise<number> => {
    throw new HoldfastError(code, message, hint === undefined ? {} : { hint })
  }

describe('what a command ends with', () => {
  test('its own exit code', async () => {
    expect(await work(['a'], async () => 0)).toEqual({ exitCode: 0, stdout: '', stderr: '' })
    expect((await work(['a'], async () => 1)).exitCode).toBe(1)
  })

  test.each([
    ['HF_REPO_NOT_FOUND', 10],
    ['HF_REPO_LOCKED', 11],
    ['HF_KEY_WRONG_PASSWORD', 12],
    ['HF_INTERRUPTED', 130],
    ['HF_STORAGE_IO', 1],
    ['HF_USAGE', 1],
  ] as const)('%s is exit code %i', async (code, exitCode) => {
    expect((await work(['a'], fail(code, 'it happened'))).exitCode).toBe(exitCode)
  })

  test('a failure is told on standard error with what to do', async () => {
    const { stdout, stderr } = await work(
      ['a'],
      fail('HF_REPO_NOT_FOUND', 'there is no repository at /x', 'check the location'),
    )
    expect(stdout).toBe('')
    expect(stderr).toBe('Fatal: there is no repository at /x\ncheck the location\n')
  })

  test('in JSON a failure is one exit_error message on standard error', async () => {
    const { stdout, stderr } = await work(
      ['a', '--json'],
      fail('HF_REPO_LOCKED', 'locked by pid 7', 'wait, or "unlock"'),
    )
    expect(stdout).toBe('')
    expect(stderr.split('\n')).toHaveLength(2)
    expect(JSON.parse(stderr)).toEqual({
      message_type: 'exit_error',
      code: 11,
      message: 'Fatal: locked by pid 7\nwait, or "unlock"',
      error_code: 'HF_REPO_LOCKED',
    })
  })

  test('work that was done in part is a warning and exit code 3', async () => {
    const outcome = await work(['a'], fail('HF_INCOMPLETE', 'at least one source file could not be read'))
    expect(outcome).toEqual({
      exitCode: 3,
      stdout: '',
      stderr: 'Warning: at least one source file could not be read\n',
    })
  })

  test('a defect is told as one, with its stack', async () => {
    const { exitCode, stderr } = await work(['a'], async () => {
      throw new TypeError('x is not a function')
    })
    expect(exitCode).toBe(1)
    expect(stderr).toMatch(/^Fatal: internal error; please report this\nTypeError: x is not a function\n {4}at /)
  })
})

describe('interruption', () => {
  test('is exit code 130, whether the command throws the reason, something else, or nothing', async () => {
    for (const ending of ['reason', 'other', 'none'] as const) {
      const system = stage()
      const body = command(async ({ signal }) => {
        system.controller.abort(new HoldfastError('HF_INTERRUPTED', 'interrupted by SIGINT'))
        if (ending === 'reason') throw signal.reason
        if (ending === 'other') throw new Error('the connection was closed')
        return 0
      })
      expect(await run(['work', 'a'], system, registryOf(body)), ending).toBe(130)
      expect(system.stderr.text).toBe('Fatal: interrupted by SIGINT\n')
    }
  })

  test('a reader that goes away stops the command silently, as the signal would', async () => {
    const stdout = new Collector()
    const outcome = await play(
      ['work', 'a'],
      { stdout },
      registryOf(
        command(async ({ output, signal }) => {
          stdout.failing = 'EPIPE'
          await output.write(new Uint8Array(10)).catch(() => {})
          expect(signal.aborted).toBe(true)
          throw signal.reason
        }),
      ),
    )
    expect(outcome).toEqual({ exitCode: 141, stdout: '', stderr: '' })
  })

  test('output that cannot be stored is an error', async () => {
    const stdout = new Collector()
    stdout.failing = 'ENOSPC'
    const outcome = await play(
      ['work', 'a'],
      { stdout },
      registryOf(
        command(async ({ output }) => {
          await output.write(new Uint8Array(10))
          return 0
        }),
      ),
    )
    expect(outcome).toEqual({
      exitCode: 1,
      stdout: '',
      stderr: 'Fatal: standard output cannot be written to: write ENOSPC\n',
    })
  })
})

describe('before a command runs', () => {
  const never = async (): Promise<number> => {
    throw new Error('must not run')
  }

  test.each([
    [[], 'no thing was given: what to work on\nsee "holdfast work --help"\n'],
    [['a', 'b', 'c'], '"work" takes no further argument: "c"\nsee "holdfast work --help"\n'],
    [['a', 'b', '--fast'], 'fast work is on one thing only\n'],
    [['a', '-q', '-v'], '--quiet and --verbose cannot be given together\n'],
    [['a', '--fats'], 'unknown option --fats\ndid you mean --fast? --help lists the options\n'],
  ])('%j is refused', async (args, stderr) => {
    expect(await work(args, never)).toEqual({ exitCode: 1, stdout: '', stderr })
  })

  test('mistakes are told in JSON when that was asked for, even after the mistake', async () => {
    const { stderr } = await work(['--fats', '--json'], never)
    expect(JSON.parse(stderr)).toMatchObject({ message_type: 'exit_error', code: 1, error_code: 'HF_USAGE' })
    expect((await work(['--fats', '--', '--json'], never)).stderr).toMatch(/^unknown option/)
  })

  test('--help explains the command instead of running it', async () => {
    const { exitCode, stdout } = await work(['--help'], never)
    expect(exitCode).toBe(0)
    for (const part of [
      'Usage: holdfast work [options] THING [OTHER]',
      'holdfast work one',
      '--fast',
      'quicker',
      '--repo',
    ])
      expect(stdout).toContain(part)
  })
})

describe('what is printed', () => {
  const talk = async ({ output }: CommandContext): Promise<number> => {
    output.result('result')
    output.print('print')
    output.remark('remark')
    output.detail('detail')
    output.debug('debug')
    output.warn('warn')
    return 0
  }
  test.each([
    [[], 'result\nprint\n'],
    [['-q'], 'result\n'],
    [['-v'], 'result\nprint\ndetail\n'],
    [['-vv'], 'result\nprint\ndetail\ndebug\n'],
    [['--verbose=2'], 'result\nprint\ndetail\ndebug\n'],
    [['--json', '-vv'], 'result\n'],
  ])('%j', async (args, stdout) => {
    expect(await work(['a', ...args], talk)).toEqual({ exitCode: 0, stdout, stderr: 'warn\n' })
  })
})

describe('commands about the program', () => {
  test('version as text, as JSON with restic’s fields, and as an option', async () => {
    const text = /^holdfast \d+\.\d+\.\d+ \(like restic 0\.19\.1\) with node v\d+\S+ on \w+\/\w+\n$/
    expect((await play(['version'])).stdout).toMatch(text)
    expect((await play(['--version'])).stdout).toMatch(text)
    const message = JSON.parse((await play(['version', '--json'])).stdout)
    expect(message).toMatchObject({ message_type: 'version', go_os: expect.any(String), go_arch: expect.any(String) })
    expect(message.version).toMatch(/^\d+\.\d+\.\d+$/)
  })

  test.each(['mount', 'self-update', 'generate', 'features', 'options'])(
    'restic’s %s is refused by name',
    async (name) => {
      const { exitCode, stdout, stderr } = await play([name, '--anything', 'more'])
      expect({ exitCode, stdout }).toEqual({ exitCode: 1, stdout: '' })
      expect(stderr).toMatch(new RegExp(`^command "${name}" is not supported: .{20}`))
    },
  )

  test('help about a command is what its --help says', async () => {
    const { stdout } = await play(['help', 'version'])
    expect(stdout).toBe((await play(['version', '--help'])).stdout)
    expect(stdout).toContain('Usage: holdfast version [options]')
  })

  test('help about what does not exist is an error', async () => {
    expect(await play(['help', 'versoin'])).toMatchObject({ exitCode: 1, stdout: '' })
    expect(await play(['help', 'version', 'x'])).toMatchObject({ exitCode: 1, stdout: '' })
  })
})
