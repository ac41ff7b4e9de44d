import type { Shell } from '../descriptions/completion.ts'
import type { Registry } from '../registry.ts'
import { renderBash } from './bash.ts'
import { renderFish } from './fish.ts'
import { type CompletionModel, completionModel } from './model.ts'
import { renderZsh } from './zsh.ts'

const renderers: Readonly<Record<Shell, (model: CompletionModel) => string>> = {
  bash: renderBash,
  zsh: renderZsh,
  fish: renderFish,
}

/** The completion script of a shell for all commands of `registry`. */
export async function renderCompletion(shell: Shell, registry: Registry): Promise<string> {
  return renderers[shell](await completionModel(registry))
}
