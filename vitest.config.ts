import { availableParallelism } from 'node:os'
import { join } from 'node:path'
import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config'
import { LongestFirst } from './test/support/longest-first.ts'

// Hundreds of processes are started, many with a home folder of their own: what Node compiled for one is there for all.
process.env.NODE_COMPILE_CACHE ||= join(import.meta.dirname, 'node_modules/.cache/holdfast-test-compiled')

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{src,test,bench,scripts}/**/*.test.ts'],
    exclude: [...configDefaults.exclude, 'bench/work/**'],
    // They end what hangs: nothing that has them takes more than half a minute where nothing else runs.
    testTimeout: 5 * 60_000,
    hookTimeout: 5 * 60_000,
    pool: 'forks',
    // Programs that tests compare with read names as UTF-8, whatever the machine is set to.
    env: { LC_ALL: 'C.UTF-8' },
    // Many tests wait for processes, disks and servers: half as many files again as there are processors.
    maxWorkers: Math.ceil(availableParallelism() * 1.5),
    sequence: { sequencer: LongestFirst },
    reporters: ['./test/support/skip-reporter.ts', 'default'],
  },
})

export default config
