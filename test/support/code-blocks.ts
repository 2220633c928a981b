export interface CodeBlock {
  readonly language: string
  readonly text: string
  /** The words between the block before and this one. */
  readonly before: string
}

/** The blocks of code of a page in Markdown, in order. */
export function codeBlocks(page: string): CodeBlock[] {
  let end = 0
  return [...page.matchAll(/^```(\w*)\n([\s\S]*?)^```$/gm)].map((found) => {
    const [all, language = '', text = ''] = found
    const before = page.slice(end, found.index)
    end = found.index + all.length
    return { language, text, before }
  })
}
