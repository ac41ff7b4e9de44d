import { MongoClient } from 'mongodb'
import type { Measurement } from '../compare/measure.ts'
import { settle } from '../compare/settle.ts'
import type { MongoTool } from './tools.ts'

export const mongoCases = ['dump', 'dump again', 'restore'] as const
export type MongoCase = (typeof mongoCases)[number]

export interface MongoRun extends Pick<Measurement, 'wallMs' | 'cpuMs' | 'peakBytes' | 'stealMs'> {
  readonly tool: string
  readonly case: MongoCase
  readonly round: number
}

export interface ComparedDatabase {
  readonly url: string
  readonly name: string
  /** Documents of each collection. */
  readonly documents: Readonly<Record<string, number>>
}

/**
 * Runs the tools in turn, A B then B A, through all cases of each round. What was restored is counted, and goes.
 * @throws Error when documents are missing
 */
export async function compare(
  { url, name, documents }: ComparedDatabase,
  tools: readonly MongoTool[],
  options: { readonly rounds: number; readonly say: (text: string) => void },
): Promise<readonly MongoRun[]> {
  await using client = await new MongoClient(url).connect()
  const runs: MongoRun[] = []
  const restored = `${name}_restored`
  for (let round = 0; round < options.rounds; round++) {
    const order = round % 2 === 0 ? tools : tools.toReversed()
    for (const tool of tools) await tool.begin()
    for (const one of mongoCases)
      for (const tool of order) {
        await settle()
        const { wallMs, cpuMs, peakBytes, stealMs } = await (one === 'restore'
          ? tool.restore(name, restored)
          : tool.dump(name))
        runs.push({ tool: tool.name, case: one, round, wallMs, cpuMs, peakBytes, stealMs })
        options.say(`${one}, ${tool.name}: ${(wallMs / 1000).toFixed(2)} s, ${(cpuMs / 1000).toFixed(2)} s of CPU`)
        if (one !== 'restore') continue
        for (const [collection, count] of Object.entries(documents)) {
          const found = await client.db(restored).collection(collection).countDocuments()
          if (found !== count)
            throw new Error(`${tool.name} restored ${found} documents of ${collection} instead of ${count}`)
        }
        await client.db(restored).dropDatabase()
      }
  }
  return runs
}
