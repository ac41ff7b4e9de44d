import type { Command } from '../command.ts'
import { versionDescription } from '../descriptions/version.ts'
import type { NoOptions } from '../options/option.ts'
import { RESTIC_VERSION, versionFacts, versionLine } from '../version.ts'

export const versionCommand: Command<NoOptions> = {
  ...versionDescription,
  async run({ output }) {
    const facts = versionFacts()
    if (!output.json) output.result(versionLine(facts))
    else
      output.message({
        message_type: 'version',
        version: facts.version,
        // restic's name for what the program runs on.
        go_version: facts.runtime,
        go_os: facts.platform,
        go_arch: facts.architecture,
        runtime: facts.runtime,
        restic_version: RESTIC_VERSION,
      })
    return 0
  },
}
