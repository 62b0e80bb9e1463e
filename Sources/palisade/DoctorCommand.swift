import ArgumentParser
import Foundation

/// `palisade doctor`: is this machine fit to work, and what would make it fitter.
struct DoctorCommand: ParsableCommand {
  static let configuration = CommandConfiguration(
    commandName: "doctor",
    abstract: "Check this machine: CPU, OpenBLAS, memory, files, ports, versions.",
    discussion: """
      Each line says OK, WARN or FAIL; the last two say what to do. Ends with exit code 1 when \
      something FAILs. Nothing is changed on the machine. OPENBLAS_CORETYPE and KERNELS_ISA from \
      the environment are honoured and shown.
      """)

  @Flag(help: "Print one JSON object.") var json = false

  func run() throws {
    let checks =
      DoctorChecks.versions() + DoctorChecks.arithmetic() + DoctorChecks.memory()
      + DoctorChecks.system()
    try Terminal.result(json ? try Self.json(checks) : Self.text(checks))
    if checks.contains(where: { $0.status == .fail }) { throw ExitCode.failure }
  }

  private static func text(_ checks: [DoctorCheck]) -> String {
    let width = checks.map(\.name.count).max() ?? 0
    var lines: [String] = []
    for check in checks {
      let mark = check.status.rawValue.uppercased()
      let space = String(repeating: " ", count: width - check.name.count)
      let gap = String(repeating: " ", count: 4 - mark.count)
      lines.append("\(mark)\(gap)  \(check.name)\(space)  \(check.value)")
      if let remedy = check.remedy {
        lines.append(String(repeating: " ", count: 8 + width) + "-> " + remedy)
      }
    }
    let bad = checks.filter { $0.status != .ok }
    let fails = bad.filter { $0.status == .fail }.count
    lines.append(
      bad.isEmpty
        ? "this machine is fit" : "\(fails) FAIL, \(bad.count - fails) WARN of \(checks.count)")
    return lines.joined(separator: "\n")
  }

  private static func json(_ checks: [DoctorCheck]) throws -> String {
    struct Report: Encodable {
      let ok: Bool
      let checks: [DoctorCheck]
    }
    let encoder = JSONEncoder()
    encoder.outputFormatting = [.prettyPrinted, .sortedKeys, .withoutEscapingSlashes]
    let ok = !checks.contains { $0.status == .fail }
    return String(decoding: try encoder.encode(Report(ok: ok, checks: checks)), as: UTF8.self)
  }
}

/// One line of `palisade doctor`.
struct DoctorCheck: Encodable, Equatable {
  enum Status: String, Encodable { case ok, warn, fail }

  let name: String
  let status: Status
  let value: String
  /// What to do; absent where all is well.
  let remedy: String?

  /// A fact, or a check that went well.
  init(_ name: String, _ value: String) {
    self.init(name, .ok, value, remedy: nil)
  }

  init(_ name: String, _ status: Status, _ value: String, remedy: String?) {
    self.name = name
    self.status = status
    self.value = value
    self.remedy = remedy
  }
}
