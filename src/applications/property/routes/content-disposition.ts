/**
 * `Content-Disposition` (RFC 6266): a name in ASCII for old readers, and the whole of it for the others. Quotes, slashes
 * and what would end the header stand in neither as they are.
 */
export function contentDisposition(kind: 'inline' | 'attachment', filename: string): string {
  const name = filename.toWellFormed().replace(/[/\\]/g, '_')
  const plain = name.replace(/[^ !#-~]|%/g, '_')
  const whole = encodeURIComponent(name).replace(
    /['()*]/g,
    (character) => `%${character.charCodeAt(0).toString(16).toUpperCase()}`,
  )
  return `${kind}; filename="${plain}"; filename*=UTF-8''${whole}`
}
