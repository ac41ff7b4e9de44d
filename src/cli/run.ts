import type { Clock } from '../lib/clock.ts'
import { HoldfastError } from '../lib/errors.ts'
import type { AnyCommand, CommandFamily } from './command.ts'
import type { CommandContext } from './context.ts'
import { dispatch } from './dispatch.ts'
import type { Environment } from './environment.ts'
import { reportFailure } from './failure.ts'
import { type GlobalOptions, globalOptions } from './options/global.ts'
import { flag, type NoOptions } from './options/option.ts'
import { type OptionGroup, parseOptions } from './options/parse.ts'
import { Output, type Verbosity } from './output/output.ts'
import type { Registry } from './registry.ts'
import { type InputStream, type OutputStream, terminalOf } from './terminal.ts'

/** What the program runs in; the process itself, or a stage set by a test. */
export interface System {
  readonly stdin: InputStream
  readonly stdout: OutputStream
  readonly stderr: OutputStream
  readonly environment: Environment
  readonly clock: Clock
  /** Aborted by signals, and by the program itself when standard output is closed. */
  readonly controller: AbortController
}

/** Runs one command line. Resolves to the exit code when all output has been handed over; never rejects. */
export async function run(args: readonly string[], system: System, registry: Registry): Promise<number> {
  const session: Session = { family: 'repository', json: asksForJson(args), output: undefined }
  const { signal } = system.controller
  let exitCode = 1
  let failure: unknown
  try {
    exitCode = await perform(args, system, registry, session)
    // Whether the output arrived is known only now.
    await session.output?.flush()
    if (signal.aborted) failure = signal.reason
  } catch (error) {
    // What a command throws after it was interrupted is a consequence of that.
    failure = signal.aborted ? signal.reason : error
  }
  if (failure === undefined) return exitCode
  const report = reportFailure(failure, session.family, session.json)
  await session.output?.flush()
  if (report.text !== '') await new Promise<void>((resolve) => system.stderr.write(report.text, () => resolve()))
  return report.exitCode
}

/** What may follow the program's name without a command. */
const rootOptions: OptionGroup<{ version: boolean }> = { options: { version: flag('version', 'print the version') } }

interface Session {
  family: CommandFamily
  json: boolean
  output: Output | undefined
}

async function perform(args: readonly string[], system: System, registry: Registry, session: Session): Promise<number> {
  const target = dispatch(args, registry)
  if (target.kind === 'failure') {
    session.family = target.family
    throw target.error
  }
  if (target.kind !== 'command') {
    const parsed = parseOptions(target.rest, globalOptions, rootOptions, system.environment)
    const output = openOutput(parsed.global, system, session)
    if (target.kind === 'none' && parsed.options.version) {
      const { versionFacts, versionLine } = await import('./version.ts')
      output.result(versionLine(versionFacts()))
      return 0
    }
    const help = await import('./help.ts')
    if (target.kind === 'none') output.result(await help.renderOverview(registry))
    else output.result(await help.renderFolderHelp(target.kind === 'folder' ? target.folder : target.noun, registry))
    return 0
  }

  session.family = target.family
  const command: AnyCommand = await target.entry.load()
  const parsed = parseOptions<GlobalOptions, NoOptions>(target.rest, globalOptions, command, system.environment)
  const output = openOutput(parsed.global, system, session)
  if (target.deprecatedName !== undefined)
    output.warn(`Warning: command "${target.deprecatedName}" is deprecated, use "${command.name}"`)
  for (const warning of parsed.warnings) output.warn(`Warning: ${warning}`)
  if (parsed.global.help) {
    const { renderCommandHelp } = await import('./help.ts')
    output.result(renderCommandHelp(command))
    return 0
  }
  if (parsed.global.quiet && parsed.global.verbose > 0)
    throw new HoldfastError('HF_USAGE', '--quiet and --verbose cannot be given together')
  checkArguments(command, parsed.positionals)
  command.check?.(parsed.options, parsed.positionals, parsed.global)
  const context: CommandContext = {
    global: parsed.global,
    sources: parsed.sources,
    output,
    environment: environmentFor(parsed.global, system.environment),
    clock: system.clock,
    signal: system.controller.signal,
    terminal: output.terminal,
    stdin: system.stdin,
    registry,
  }
  return command.run(context, parsed.options, parsed.positionals)
}

/** A configuration that the command line names counts wherever one is looked for. */
const environmentFor = (
  { configurationFile }: GlobalOptions,
  environment: System['environment'],
): System['environment'] =>
  configurationFile === undefined ? environment : { ...environment, HOLDFAST_CONFIG: configurationFile }

function openOutput(global: GlobalOptions, system: System, session: Session): Output {
  const { stdin, stdout, stderr, environment, controller } = system
  session.json = global.json
  session.output = new Output({
    stdout,
    stderr,
    terminal: terminalOf(stdin, stdout, environment),
    json: global.json,
    verbosity: verbosityOf(global),
    onClosed: (error) => controller.abort(error),
  })
  return session.output
}

function verbosityOf({ quiet, verbose }: GlobalOptions): Verbosity {
  if (quiet) return 0
  return verbose >= 2 ? 3 : verbose === 1 ? 2 : 1
}

function checkArguments(command: AnyCommand, args: readonly string[]): void {
  const usage = `see "holdfast ${command.name} --help"`
  const missing = command.arguments.filter(({ required }) => required === true)[args.length]
  if (missing !== undefined)
    throw new HoldfastError('HF_USAGE', `no ${missing.name} was given: ${missing.help}`, { hint: usage })
  const last = command.arguments.at(-1)
  const surplus = last?.repeatable === true ? undefined : args[command.arguments.length]
  if (surplus !== undefined)
    throw new HoldfastError('HF_USAGE', `"${command.name}" takes no further argument: ${JSON.stringify(surplus)}`, {
      hint: usage,
    })
}

/** Whether a failure before the options are understood is to be told in JSON. */
function asksForJson(args: readonly string[]): boolean {
  const end = args.indexOf('--')
  return args.slice(0, end < 0 ? args.length : end).some((arg) => arg === '--json' || arg === '--json=true')
}
