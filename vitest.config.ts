import { configDefaults, defineConfig, type ViteUserConfig } from 'vitest/config'

const config: ViteUserConfig = defineConfig({
  test: {
    include: ['{src,test,bench,scripts}/**/*.test.ts'],
    exclude: [...configDefaults.exclude, 'bench/work/**'],
    testTimeout: 60_000,
    hookTimeout: 120_000,
    pool: 'forks',
    // Many tests wait for processes and disks: one file per processor, none kept back.
    maxWorkers: '100%',
    reporters: ['./test/support/skip-reporter.ts', 'default'],
  },
})

export default config
