/**
 * `node scripts/setup.ts [--sudo]`: installs the Debian packages that tests need and this machine lacks. Only root installs, or with --sudo
 * who may use sudo without a password; everybody else is told the command. Then servers that no package brings are built, once for each
 * machine, where the tools for it are there. Tests that lack something are skipped by name, so nothing missing is no failure here, except a
 * package with HOLDFAST_TEST_ALL set.
 */
import { spawnSync } from 'node:child_process'
import { commandPath, missingRequirements } from '../test/support/requirements.ts'

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

for (const { what, build, isPresent } of missingRequirements()) {
  // One build may bring what several tests need.
  if (build === undefined || isPresent()) continue
  if (!build.isPossible()) console.log(`Tests that need it will be skipped: ${what}`)
  else {
    console.log(`+ making ${what}; it may take minutes`)
    try {
      build.run()
    } catch (error) {
      console.error(`Tests that need it will be skipped: ${(error as Error).message}`)
    }
  }
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
