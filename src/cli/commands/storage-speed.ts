import { measureSpeed } from '../../engine/storage/speed.ts'
import { formatSize } from '../../lib/sizes.ts'
import type { Command } from '../command.ts'
import { type StorageSpeedOptions, storageSpeedDescription } from '../descriptions/storage.ts'
import { findStore } from '../named-store.ts'

export const storageSpeedCommand: Command<StorageSpeedOptions> = {
  ...storageSpeedDescription,
  async run(context, { bytes, fileBytes }, [place]) {
    const { output, signal } = context
    const store = await findStore(context, place)
    const scratch = await store.openScratch('speed')
    try {
      await scratch.create({ signal })
      const speed = await measureSpeed(scratch, { totalBytes: bytes, fileBytes: Math.min(fileBytes, bytes), signal })
      const rate = (milliseconds: number): number => Math.round((speed.bytes / Math.max(1, milliseconds)) * 1000)
      const up = rate(speed.uploadMs)
      const down = rate(speed.downloadMs)
      if (output.json)
        output.message({
          message_type: 'speed',
          files: speed.files,
          bytes: speed.bytes,
          connections: speed.connections,
          upload_bytes_per_second: up,
          download_bytes_per_second: down,
          latency_ms: Math.round(speed.latencyMs * 10) / 10,
        })
      else {
        output.result(`up       ${formatSize(up)}/s`)
        output.result(`down     ${formatSize(down)}/s`)
        output.result(`latency  ${Math.round(speed.latencyMs * 10) / 10} ms`)
        output.print(
          `${speed.files} files, ${formatSize(speed.bytes)} each way, ${speed.connections} calls at the same time`,
        )
      }
      return 0
    } finally {
      await scratch.features.removeLayout?.()
      await scratch.close()
    }
  },
}
