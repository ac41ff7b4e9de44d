/** A fenced `sh` block of a document. */
export interface CommandBlock {
  /** Line of the document on which its first command stands. */
  readonly line: number
  readonly commands: string
  /** Why it is not run, when the comment `<!-- not run: reason -->` stands before it. */
  readonly notRun: string | undefined
}

/** All `sh` blocks of a Markdown text, in order. Throws on a block that is not closed, and on a mark without a block or a reason. */
export function commandBlocks(markdown: string): readonly CommandBlock[] {
  const blocks: CommandBlock[] = []
  const lines = markdown.split('\n')
  let mark: { readonly reason: string; readonly line: number } | undefined
  for (let i = 0; i < lines.length; i++) {
    const text = lines[i]!
    const reason = /^<!-- not run:(.*)-->$/.exec(text.trim())?.[1]?.trim()
    if (reason === '') throw new Error(`line ${i + 1}: a block is left out without a reason`)
    if (reason !== undefined) mark = { reason, line: i + 1 }
    const fence = /^( *)(`{3,}|~{3,})(\w*)/.exec(text)
    if (fence !== null) {
      const end = lines.findIndex((line, j) => j > i && line.trim() === fence[2])
      if (end === -1) throw new Error(`line ${i + 1}: the block is not closed`)
      if (fence[3] === 'sh') {
        const commands = lines.slice(i + 1, end).map((line) => line.slice(fence[1]!.length))
        blocks.push({ line: i + 2, commands: commands.join('\n'), notRun: mark?.reason })
        mark = undefined
      }
      i = end
    }
    if (mark !== undefined && i + 1 > mark.line && text.trim() !== '') {
      throw new Error(`line ${mark.line}: the mark is not followed by a block of commands`)
    }
  }
  if (mark !== undefined) throw new Error(`line ${mark.line}: the mark is not followed by a block of commands`)
  return blocks
}

/** One script of all blocks that are run; before each it says on standard error which one comes. It stops at the first command that fails. */
export function toScript(blocks: readonly CommandBlock[]): string {
  const parts = blocks
    .filter((block) => block.notRun === undefined)
    .map((block) => `echo '::line ${block.line}' >&2\n${block.commands}\n`)
  return `set -eu\n${parts.join('')}`
}
