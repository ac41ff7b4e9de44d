import { describe } from 'vitest'
import { testDocuments } from './guides.ts'

describe('the commands of the documents about stores', () => {
  testDocuments('stores')
})
