import Foundation
import Synchronization
import Testing

@testable import Pipelining

@Suite struct AlarmsTests {
  @Test func theyRingInTheirOrderAndNotWhenTakenBack() async throws {
    let alarms = Alarms()
    let rung = Mutex<[Int]>([])
    func set(_ number: Int, _ milliseconds: Int) -> UInt64 {
      alarms.call(after: .milliseconds(milliseconds)) { rung.withLock { $0.append(number) } }
    }
    let start = ContinuousClock.now
    _ = set(3, 700)
    let taken = set(2, 350)
    _ = set(1, 10)
    alarms.cancel(taken)
    alarms.cancel(99)
    while rung.withLock({ $0.count }) < 2, start.duration(to: .now) < .seconds(600) {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(start.duration(to: .now) >= .milliseconds(700))
    #expect(rung.withLock { $0 } == [1, 3])
    // Also after a time in which nobody looked.
    _ = set(4, 0)
    while rung.withLock({ $0.count }) < 3, start.duration(to: .now) < .seconds(600) {
      try await Task.sleep(for: .milliseconds(10))
    }
    #expect(rung.withLock { $0 } == [1, 3, 4])
  }

  @Test func thousandsThatAreTakenBackLeaveNothing() async throws {
    let alarms = Alarms()
    let before = ProcessMemory.residentBytes
    for _ in 0..<200_000 { alarms.cancel(alarms.call(after: .seconds(3600)) {}) }
    // A sleeping task each would be 280 MB.
    #expect(ProcessMemory.residentBytes - before < 100 << 20)
  }
}
