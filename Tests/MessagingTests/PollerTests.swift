import Foundation
import Messaging
import Testing

@Suite struct PollerTests {
  @Test func aMailboxWakesThePoller() throws {
    let mailbox = try Mailbox<Int>(capacity: 3)
    var poller = Poller()
    let source = poller.add(fileDescriptor: mailbox.wakeup)
    #expect(try poller.wait(.milliseconds(10)) == false)
    Thread.detachNewThread {
      usleep(30_000)
      _ = mailbox.post(7)
    }
    #expect(try poller.wait(.milliseconds(5000)))
    #expect(poller.events(of: source) == .readable)
    #expect(mailbox.takeAll() == [7])
    #expect(try poller.wait(.never) == false)
  }

  @Test func aFullMailboxRefuses() throws {
    let mailbox = try Mailbox<Int>(capacity: 2)
    #expect(mailbox.post(1))
    #expect(mailbox.post(2))
    #expect(!mailbox.post(3))
    #expect(mailbox.takeAll() == [1, 2])
    #expect(mailbox.takeAll().isEmpty)
    #expect(mailbox.post(4))
  }

  @Test func everyPostIsTakenOnce() throws {
    let mailbox = try Mailbox<Int>(capacity: 64)
    let count = 2000
    Thread.detachNewThread {
      for number in 0..<count {
        while !mailbox.post(number) { usleep(100) }
      }
    }
    var poller = Poller()
    _ = poller.add(fileDescriptor: mailbox.wakeup)
    var taken: [Int] = []
    while taken.count < count, try poller.wait(.milliseconds(5000)) {
      taken += mailbox.takeAll()
    }
    #expect(taken == Array(0..<count))
  }

  @Test func socketsAndPausedSources() throws {
    let context = try Context()
    let pull = try Socket(.pull, in: context)
    let push = try Socket(.push, in: context)
    try pull.bind("inproc://poll")
    try push.connect("inproc://poll")
    var poller = Poller()
    let input = poller.add(pull)
    let output = poller.add(push, .writable)
    #expect(try poller.wait(.milliseconds(5000)))
    #expect(poller.events(of: output) == .writable)
    #expect(poller.events(of: input) == [])
    poller.watch(output, for: [])
    try push.send([Frame(bytes: [1])])
    #expect(try poller.wait(.milliseconds(5000)))
    #expect(poller.events(of: input) == .readable)
    poller.watch(input, for: [])
    #expect(try poller.wait(.milliseconds(10)) == false)
  }
}
