import Foundation

/// A group commit as one writes it by hand for threads.
///
/// Each thread appends its record to a buffer. One of the threads writes and syncs the whole buffer. All threads with a
/// record in the buffer then continue.
final class GroupCommit: @unchecked Sendable {
    // `mutex` protects every variable below.
    private let mutex = UnsafeMutablePointer<pthread_mutex_t>.allocate(capacity: 1)
    // The threads of a batch wait at the condition of the batch's parity: the end of a batch wakes no other batch.
    private let conditions = UnsafeMutablePointer<pthread_cond_t>.allocate(capacity: 2)
    private let file: SyncedFile
    private var buffer: [UInt8] = []
    private var spare: [UInt8] = []
    private var offset = 0
    private var openBatch = 1
    private var durableBatch = 0
    private var isWriting = false
    private var failure: (any Error)?

    init(_ file: SyncedFile) {
        self.file = file
        pthread_mutex_init(mutex, nil)
        pthread_cond_init(conditions, nil)
        pthread_cond_init(conditions + 1, nil)
    }

    deinit {
        pthread_cond_destroy(conditions)
        pthread_cond_destroy(conditions + 1)
        pthread_mutex_destroy(mutex)
        conditions.deallocate()
        mutex.deallocate()
    }

    /// Appends a record and returns when the record is on the disk.
    func commit(_ record: [UInt8]) throws {
        pthread_mutex_lock(mutex)
        defer { pthread_mutex_unlock(mutex) }
        buffer += record
        let batch = openBatch
        while durableBatch < batch, failure == nil {
            if isWriting {
                pthread_cond_wait(conditions + batch % 2, mutex)
            } else {
                writeOpenBatch()
            }
        }
        if let failure { throw failure }
    }

    private func writeOpenBatch() {
        let batch = openBatch
        let bytes = buffer
        buffer = spare
        spare = []
        let start = offset
        offset += bytes.count
        openBatch += 1
        isWriting = true
        pthread_mutex_unlock(mutex)
        let result = Result {
            try file.write(bytes, at: start)
            try file.sync()
        }
        pthread_mutex_lock(mutex)
        if case .failure(let error) = result { failure = error }
        spare = bytes
        spare.removeAll(keepingCapacity: true)
        durableBatch = batch
        isWriting = false
        pthread_cond_broadcast(conditions + batch % 2)
        // One thread of the next batch writes that batch.
        pthread_cond_signal(conditions + (batch + 1) % 2)
    }
}
