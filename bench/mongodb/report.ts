import type { Machine } from '../compare/machine.ts'
import { median } from '../compare/report.ts'
import { type MongoCase, type MongoRun, mongoCases } from './compare.ts'

export interface MongoBenchResult {
  readonly date: string
  readonly machine: Machine
  readonly server: string
  readonly versions: Readonly<Record<string, string>>
  /** Bytes of all documents, and how many there are. */
  readonly bytes: number
  readonly documents: number
  /** CPU the server took for one reading by the driver alone, and for one writing. */
  readonly serverCpuMs: Readonly<Record<'dump' | 'restore', number>>
  readonly runs: readonly MongoRun[]
  /** Of ten times the data, one dump and one restore; absent when that was not asked for. */
  readonly tenfold?: Readonly<Record<'dump' | 'restore', number>> | undefined
}

const MIN_RATE = 0.8
const MAX_PEAK_BYTES = 400e6
const MAX_GROWTH = 1.15

const titles: Readonly<Record<MongoCase, string>> = {
  dump: 'dump',
  'dump again': 'dump of the same once more',
  restore: 'restore',
}

export function toMarkdown(result: MongoBenchResult): string {
  const { date, machine, server, versions, bytes, documents, runs, serverCpuMs, tenfold } = result
  const of = (tool: string, name: MongoCase): readonly MongoRun[] =>
    runs.filter((run) => run.tool === tool && run.case === name)
  const middle = (tool: string, name: MongoCase, key: 'wallMs' | 'cpuMs' | 'peakBytes'): number =>
    median(of(tool, name).map((run) => run[key]))
  const others = Object.keys(versions).filter((tool) => tool !== 'holdfast')
  const seconds = (tool: string, name: MongoCase): string => {
    const times = of(tool, name).map(({ wallMs }) => wallMs / 1000)
    return `${(middle(tool, name, 'wallMs') / 1000).toFixed(2)} (${Math.min(...times).toFixed(2)}–${Math.max(...times).toFixed(2)})`
  }
  const mib = (count: number): string => (count / 2 ** 20).toFixed(0)
  const rows = mongoCases.map((name) => [
    titles[name],
    seconds('holdfast', name),
    ...others.map((tool) => seconds(tool, name)),
    ...others.map((tool) => (middle(tool, name, 'wallMs') / middle('holdfast', name, 'wallMs')).toFixed(2)),
    ['holdfast', ...others].map((tool) => (middle(tool, name, 'cpuMs') / 1000).toFixed(1)).join(' / '),
    mib(Math.max(...of('holdfast', name).map(({ peakBytes }) => peakBytes))),
  ])
  const heads = [
    'case',
    'Holdfast s',
    ...others.map((tool) => `${tool} s`),
    ...others.map((tool) => `rate of ${tool} (>= ${MIN_RATE})`),
    `CPU s: ${['Holdfast', ...others].join(' / ')}`,
    `peak MiB (<= ${mib(MAX_PEAK_BYTES)})`,
  ]
  const steal = Math.max(...runs.map(({ stealMs, wallMs }) => stealMs / wallMs / machine.processors))
  const names = Object.entries(versions).map(([name, version]) => `${name}: ${version}`)
  const growth = (name: 'dump' | 'restore'): string => {
    const ratio = tenfold![name] / Math.max(...of('holdfast', name).map(({ peakBytes }) => peakBytes))
    return `${name} ${mib(tenfold![name])} MiB, ${ratio.toFixed(2)} times (<= ${MAX_GROWTH})`
  }
  return `# MongoDB: Holdfast and the driver alone

${date.slice(0, 10)}, ${machine.processors} x ${machine.processor} (${machine.instructions.join(' ')}), ${(machine.memoryBytes / 2 ** 30).toFixed(0)} GiB, ${machine.fileSystem}, Linux ${machine.kernel}, load before ${machine.load.toFixed(1)}, given to others at most ${(steal * 100).toFixed(1)} %.

${server} on the same machine, ${documents} documents in two collections, ${mib(bytes)} MiB. ${names.join('; ')}. Two collections at a time for all. Holdfast compresses, encrypts, stores and reads back what it stores; the driver alone throws away what it reads; mongodump writes plain files. Medians of ${of('holdfast', 'dump').length} rounds, in turn; starts of processes and the derivation of Holdfast's key are part of all times.

| ${heads.join(' | ')} |
|${heads.map(() => '---').join('|')}|
${rows.map((row) => `| ${row.join(' | ')} |`).join('\n')}

In brackets: the fastest and the slowest run. The server itself took ${(serverCpuMs.dump / 1000).toFixed(1)} s of CPU for a reading by the driver alone and ${(serverCpuMs.restore / 1000).toFixed(1)} s for a writing, on the same processors.${tenfold === undefined ? '' : `\n\nPeaks with ten times the data: ${growth('dump')}; ${growth('restore')}.`}
`
}
