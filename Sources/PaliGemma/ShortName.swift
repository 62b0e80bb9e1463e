/// Names for texts: no secret, and nothing to trust, only shorter.
public enum ShortName {
  /// FNV-1a of `text`, 64 bits, in hexadecimal digits.
  public static func of(_ text: String) -> String {
    let hash = text.utf8.reduce(0xCBF2_9CE4_8422_2325 as UInt64) {
      ($0 ^ UInt64($1)) &* 0x100_0000_01B3
    }
    return String(hash, radix: 16)
  }
}
