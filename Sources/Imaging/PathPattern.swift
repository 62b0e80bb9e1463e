import Foundation

/// Patterns that stand for several files, as in a shell.
public enum PathPattern {
  /// The paths that `pattern` matches, in no order. A folder that can't be read matches nothing.
  public static func matches(_ pattern: String) -> [String] {
    var found = glob_t()
    defer { globfree(&found) }
    guard glob(pattern, GLOB_NOSORT, nil, &found) == 0 else { return [] }
    return (0..<Int(found.gl_pathc)).compactMap { index in
      found.gl_pathv[index].map { String(cString: $0) }
    }
  }
}
