import { monotonicMilliseconds } from '../../lib/clock.ts'
import { formatElapsed } from '../../lib/durations.ts'
import { shortId } from '../../lib/id.ts'
import type { VerifyItem, VerifyObserver, VerifyResult } from '../../recovery/verify-run.ts'
import { sourceNameOf } from '../../recovery/verify-run.ts'
import type { ProofCheck, ProofLevel } from '../../sources/proof.ts'
import { formatLocalTime } from './local-time.ts'
import type { Output } from './output.ts'
import { quoteUnprintable } from './width.ts'

const words: Readonly<Record<ProofCheck['outcome'], string>> = {
  passed: 'passed ',
  failed: 'FAILED ',
  skipped: 'skipped',
  'not applicable': 'none   ',
}

/** One check as people read it. */
export function checkLine({ name, outcome, detail }: Omit<ProofCheck, 'level'>, level?: ProofLevel): string {
  const more = detail === undefined ? '' : `: ${quoteUnprintable(detail)}`
  return `  ${words[outcome]}  ${level === undefined ? '' : `${level.padEnd(9)}  `}${quoteUnprintable(name)}${more}`
}

/** Tells check by check how verifications go. */
export class ProofReport implements VerifyObserver {
  readonly #output: Output
  #begun = 0

  constructor(output: Output) {
    this.#output = output
  }

  onBegin(item: VerifyItem): void {
    this.#begun = monotonicMilliseconds()
    const { snapshot } = item
    if (this.#output.json)
      this.#output.message({
        message_type: 'verification_begins',
        source: sourceNameOf(snapshot),
        snapshot_id: snapshot.id,
      })
    else this.#output.print(`${shownName(item)}: snapshot ${shortId(snapshot.id)} of ${formatLocalTime(snapshot.time)}`)
  }

  onCheck({ snapshot }: VerifyItem, check: ProofCheck): void {
    if (this.#output.json) {
      this.#output.message({ message_type: 'check', snapshot_id: snapshot.id, ...check })
      return
    }
    const { outcome, level } = check
    const line = checkLine(check, level)
    if (outcome === 'failed' || outcome === 'skipped') this.#output.warn(line)
    else this.#output.print(line)
  }

  onFinished({ item, verification, record }: VerifyResult): void {
    const { outcome, asked, proved, facts, checks } = verification
    const seconds = (monotonicMilliseconds() - this.#begun) / 1000
    if (this.#output.json) {
      this.#output.message({
        message_type: 'verification',
        source: verification.source,
        snapshot_id: verification.snapshot,
        tree: verification.tree,
        outcome,
        level_asked: asked,
        level_proved: proved,
        checks: checks.length,
        facts,
        seconds,
        record_id: record.id,
      })
      return
    }
    const level = proved === undefined ? 'nothing is proved' : `proved: ${proved}`
    const verdict = { passed: level, unproved: `${level}, which is less than ${asked}`, failed: `FAILED, ${level}` }[
      outcome
    ]
    const line = [
      `${shownName(item)}: ${verdict}`,
      `${checks.length} ${checks.length === 1 ? 'check' : 'checks'}`,
      ...Object.entries(facts).map(([name, value]) => `${name} ${value}`),
      `in ${formatElapsed(seconds)}`,
      `record ${shortId(record.id)}`,
    ].join(', ')
    if (outcome === 'passed') this.#output.print(line)
    else this.#output.warn(line)
  }
}

const shownName = ({ snapshot }: VerifyItem): string => sourceNameOf(snapshot) ?? snapshot.paths.join(', ')
