import { readFileSync, writeFileSync } from 'node:fs'
import { configure } from './configured-stage.ts'
import { type OurStage, ourStage } from './our-stage.ts'

/** A stage whose configuration has several repositories, each with a password of its own. */
export interface CopiesStage extends OurStage {
  readonly config: string
  /** Plays a command line on the configuration alone. */
  on(args: readonly string[], parts?: Parameters<OurStage['run']>[1]): ReturnType<OurStage['run']>
  passwordOf(name: string): string
  /** Changes what the configuration says about a repository. */
  change(name: string, keys: object): void
}

/** `names` are repositories besides `main`; all are made. */
export async function copiesStage(
  names: readonly string[],
  sources: (stage: OurStage) => object,
): Promise<CopiesStage> {
  const stage = await ourStage()
  const config = configure(stage, sources(stage))
  const rewrite = (change: (repositories: Record<string, object>) => void): void => {
    const value = JSON.parse(readFileSync(config, 'utf8'))
    change(value.repositories)
    value.defaults = { ...value.defaults, repositories: Object.keys(value.repositories) }
    writeFileSync(config, JSON.stringify(value, null, 2))
  }
  const passwordOf = (name: string): string => `secret of ${name}`
  for (const name of names) {
    const file = stage.path(`password-${name}`)
    writeFileSync(file, passwordOf(name), { mode: 0o600 })
    rewrite((repositories) => {
      repositories[name] = { url: stage.path(name), password: `file:${file}` }
    })
  }
  const environment = { HOLDFAST_REPOSITORY: '', HOLDFAST_PASSWORD: '', HOLDFAST_CONFIG: config }
  await stage.must(['init'], { environment })
  return {
    ...stage,
    config,
    on: (args, parts) => stage.run(args, { environment, ...parts }),
    passwordOf,
    change: (name, keys) =>
      rewrite((repositories) => {
        repositories[name] = { ...repositories[name], ...keys }
      }),
  }
}
