/**
 * `node scripts/setup.ts [--sudo] [--wait]`: installs the Debian packages that tests need and this machine lacks. Only root installs, or with --sudo
 * who may use sudo without a password; everybody else is told the command. Then servers that no package brings are built, once for each
 * machine, where the tools for it are there: in the background, while tests begin, or to their end with --wait. Tests that lack something are
 * skipped by name, so nothing missing is no failure here, except a package with HOLDFAST_TEST_ALL set.
 */
import { spawn, spawnSync } from 'node:child_process'
import { mkdirSync, openSync } from 'node:fs'
import { join } from 'node:path'
import { commandPath, missingRequirements, type RequirementName, requirements } from '../test/support/requirements.ts'
import { toolCache } from '../test/support/tool-cache.ts'
import { announceMaking, isBeingMade } from '../test/support/tool-making.ts'

const packages = [...new Set(missingRequirements().flatMap(({ debianPackage }) => debianPackage ?? []))]

if (packages.length === 0) {
  console.log('Everything the tests need is on this machine.')
} else {
  const install = ['apt-get', 'install', '--yes', '--no-install-recommends', ...packages]
  const before = prefix()
  if (before === undefined) {
    console.log(
      `Tests that need them will be skipped: ${packages.join(', ')}. To install them: sudo ${install.join(' ')}`,
    )
  } else {
    run([...before, 'apt-get', 'update', '--quiet=2'])
    run([...before, ...install])
  }
  const missing = missingRequirements().filter(({ debianPackage }) => debianPackage !== undefined)
  if (missing.length > 0 && process.env.HOLDFAST_TEST_ALL) {
    console.error(`Still missing: ${missing.map(({ what }) => what).join(', ')}`)
    process.exitCode = 1
  }
}

makeTools()

/** Starts what makes tools: what compiles beside what is only fetched. Without --wait it goes on when this program has ended. */
function makeTools(): void {
  const makeable = (Object.keys(requirements) as RequirementName[]).filter((name) => {
    const { what, build, isPresent } = requirements[name]
    if (build === undefined || isPresent() || isBeingMade(name)) return false
    if (!build.isPossible()) console.log(`Tests that need it will be skipped: ${what}`)
    return build.isPossible()
  })
  if (makeable.length === 0) return
  const isWaiting = process.argv.includes('--wait')
  mkdirSync(toolCache(), { recursive: true, mode: 0o755 })
  const log = join(toolCache(), 'making.log')
  const out = isWaiting ? 'inherit' : openSync(log, 'a')
  const compiled = makeable.filter((name) => requirements[name].build?.compiles)
  const fetched = makeable.filter((name) => !compiled.includes(name))
  for (const names of [compiled, fetched].filter(({ length }) => length > 0)) {
    const maker = spawn(process.execPath, [join(import.meta.dirname, 'make-tools.ts'), ...names], {
      stdio: ['ignore', out, out],
      detached: !isWaiting,
    })
    for (const name of names) announceMaking(name, maker.pid!)
    if (!isWaiting) maker.unref()
  }
  const where = isWaiting ? '' : `, in the background; tests wait for what they need (${log})`
  console.log(`+ making ${makeable.join(', ')}: minutes of work${where}`)
}

/** What has to stand before a command that only root may run; undefined when we may not. */
function prefix(): readonly string[] | undefined {
  if (commandPath('apt-get') === undefined) return undefined
  if (process.getuid?.() === 0) return []
  const maySudo = process.argv.includes('--sudo') && spawnSync('sudo', ['-n', 'true']).status === 0
  return maySudo ? ['sudo', '-n'] : undefined
}

function run(command: readonly string[]): void {
  const [program, ...args] = command as [string, ...string[]]
  console.log(`+ ${command.join(' ')}`)
  const { status } = spawnSync(program, args, {
    stdio: ['ignore', 'ignore', 'inherit'],
    env: { ...process.env, DEBIAN_FRONTEND: 'noninteractive' },
  })
  if (status !== 0) console.error(`${program} ended with ${status}`)
}
