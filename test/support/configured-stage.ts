import { mkdirSync, writeFileSync } from 'node:fs'
import type { OurStage } from './our-stage.ts'
import { PASSWORD } from './test-repository.ts'

/** Writes a configuration whose repository `main` is that of the stage, and returns its path. */
export function configure(stage: OurStage, sources: object, more: object = {}): string {
  const password = stage.path('password')
  writeFileSync(password, `${PASSWORD}\n`, { mode: 0o600 })
  const file = stage.path('holdfast.yaml')
  const main = { url: stage.path('repository'), password: `file:${password}` }
  // JSON is YAML.
  writeFileSync(file, JSON.stringify({ version: 1, repositories: { main }, sources, ...more }, null, 2))
  return file
}

/** A new folder of the stage with one file. */
export function folder(stage: OurStage, name: string): string {
  const path = stage.path(name)
  mkdirSync(path)
  writeFileSync(`${path}/file`, `content of ${name}`)
  return path
}
