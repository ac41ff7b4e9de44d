import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{src,test,bench,scripts}/**/*.test.ts'],
    exclude: [...configDefaults.exclude, 'bench/work/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // Programs that tests compare with read names as UTF-8, whatever the machine is set to.
    env: { LC_ALL: 'C.UTF-8' },
    // Many tests wait for processes and disks: one file per processor, none kept back.
    maxWorkers: '100%',
    reporters: ['./test/support/skip-reporter.ts', 'default'],
  },
})

export default config
