import { describe } from 'vitest'
import { testDocuments } from './guides.ts'

describe('the commands of the documents about databases', () => {
  testDocuments('databases')
})
