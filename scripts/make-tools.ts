/** `node scripts/make-tools.ts NAME...`: makes what requirements of tests have a recipe for, one after the other. `scripts/setup.ts` starts it. */
import { monotonicMilliseconds } from '../src/lib/clock.ts'
import { type RequirementName, requirements } from '../test/support/requirements.ts'
import { announceMaking, concludeMaking } from '../test/support/tool-making.ts'

const names = process.argv.slice(2) as RequirementName[]
for (const name of names) announceMaking(name, process.pid)
for (const name of names) {
  const { what, build, isPresent } = requirements[name]
  const started = monotonicMilliseconds()
  try {
    // One recipe may bring what several tests need.
    if (!isPresent()) build?.run()
    console.log(`${what}: made in ${Math.round((monotonicMilliseconds() - started) / 1000)} s`)
    concludeMaking(name)
  } catch (error) {
    const message = (error as Error).message.trimEnd()
    console.error(`${what}: ${message}`)
    concludeMaking(name, message)
    process.exitCode = 1
  }
}
