import { registry } from './cli/registry.ts'
import { run } from './cli/run.ts'
import { systemClock } from './lib/clock.ts'
import { HoldfastError } from './lib/errors.ts'

const controller = new AbortController()

// Not SIGHUP: restic's `unlock` sends it to learn whether the holder of a lock lives. It ends the process unless a lock is held.
for (const name of ['SIGINT', 'SIGTERM'] as const)
  process.on(name, () => {
    // The first asks to stop cleanly; who asks again wants out, whatever is left behind.
    if (controller.signal.aborted) process.exit(130)
    process.stderr.write(`\rsignal ${name} received, cleaning up \n`)
    controller.abort(new HoldfastError('HF_INTERRUPTED', `interrupted by ${name}`))
  })
// Without a listener Node opens its debugger, which any local user could connect to.
process.on('SIGUSR1', () => {})
// Failures to write are reported to the writer; without a listener they would end the process with a stack trace.
for (const stream of [process.stdout, process.stderr]) stream.on('error', () => {})

const { stdin, stdout, stderr, env, argv } = process
process.exit(
  await run(argv.slice(2), { stdin, stdout, stderr, environment: env, clock: systemClock, controller }, registry),
)
