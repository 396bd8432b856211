//! The layer under SQLite: a file system of its own that passes everything on to the usual one, and tells the disk.
#![allow(
    unsafe_code,
    reason = "SQLite knows a file system as a table of C functions, and files as memory of a size that the file system names"
)]

use std::ffi::{CStr, OsStr, c_char, c_int, c_void};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, Once, PoisonError};

use rusqlite::ffi;

use crate::{Failure, State};

/// The folders that are on disks of ours.
static DISKS: Mutex<Vec<(PathBuf, Arc<State>)>> = Mutex::new(Vec::new());

static INSTALLED: Once = Once::new();

const NAME: &CStr = c"rejoin-powercut";

pub(crate) fn watch(folder: PathBuf, state: Arc<State>) {
    INSTALLED.call_once(install);
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).push((folder, state));
}

pub(crate) fn forget(folder: &Path) {
    DISKS.lock().unwrap_or_else(PoisonError::into_inner).retain(|(watched, _)| watched != folder);
}

fn disk_of(path: &Path) -> Option<Arc<State>> {
    let disks = DISKS.lock().unwrap_or_else(PoisonError::into_inner);
    let (_, state) = disks.iter().find(|(folder, _)| path.parent() == Some(folder))?;
    // The index of the log is shared memory, which is gone with the machine.
    (!path.as_os_str().as_bytes().ends_with(b"-shm")).then(|| Arc::clone(state))
}

/// A file of ours: what SQLite sees, what we know, and behind it the memory of the usual file system's own.
#[repr(C)]
struct File {
    base: ffi::sqlite3_file,
    /// From [`Box::into_raw`]; null where the file is on no disk of ours.
    watched: *mut Watched,
}

struct Watched {
    path: PathBuf,
    disk: Arc<State>,
    /// It goes with its handle: a temporary file of SQLite's.
    is_temporary: bool,
}

/// Makes this layer the file system that SQLite uses when none is named.
fn install() {
    // SAFETY: SQLite has a file system on every system that these tests run on, and keeps it as long as the process lives. The copy is
    // leaked, so that it lives as long too. The functions that are left as they are look at no part of the structure but the
    // ones that are copied (`mxPathname`); `xOpen` and `xDelete` are given the original.
    unsafe {
        ffi::sqlite3_initialize();
        let usual = ffi::sqlite3_vfs_find(std::ptr::null());
        let mut layer = *usual;
        layer.pNext = std::ptr::null_mut();
        layer.zName = NAME.as_ptr();
        layer.szOsFile += own_size();
        layer.pAppData = usual.cast();
        layer.xOpen = Some(open);
        layer.xDelete = Some(delete);
        ffi::sqlite3_vfs_register(Box::into_raw(Box::new(layer)), 1);
    }
}

fn own_size() -> c_int {
    c_int::try_from(size_of::<File>()).unwrap_or(c_int::MAX)
}

/// The usual file system, behind ours.
///
/// # Safety
///
/// The argument must be what [`install`] registered.
unsafe fn usual(vfs: *mut ffi::sqlite3_vfs) -> *mut ffi::sqlite3_vfs {
    // SAFETY: as the caller says.
    unsafe { (*vfs).pAppData.cast() }
}

/// The file of the usual file system, behind ours.
///
/// # Safety
///
/// The argument must be memory of `szOsFile` bytes, which begins with a [`File`].
unsafe fn real(file: *mut ffi::sqlite3_file) -> *mut ffi::sqlite3_file {
    // SAFETY: the memory is larger than a `File` by what the usual file system asked for, and that begins right behind it.
    unsafe { file.cast::<File>().add(1).cast() }
}

/// Calls a method of the usual file system's file.
///
/// # Safety
///
/// The file must be an open one of ours; then the usual file system's is open too, and has all methods of version 2.
macro_rules! real {
    ($file:ident, $method:ident $(, $argument:expr)*) => {{
        let real = real($file);
        match (*(*real).pMethods).$method {
            Some(method) => method(real $(, $argument)*),
            None => ffi::SQLITE_IOERR,
        }
    }};
}

/// What is known of an open file, where it is on a disk of ours.
///
/// # Safety
///
/// The argument must be an open file of ours, and nobody else may be closing it.
unsafe fn watched<'a>(file: *mut ffi::sqlite3_file) -> Option<&'a Watched> {
    // SAFETY: `open` has set the pointer, and only `close` frees it.
    unsafe { (*file.cast::<File>()).watched.as_ref() }
}

fn code(failure: Failure, off: c_int) -> c_int {
    match failure {
        Failure::Off => off,
        Failure::Full => ffi::SQLITE_FULL,
    }
}

unsafe extern "C" fn open(
    vfs: *mut ffi::sqlite3_vfs,
    name: ffi::sqlite3_filename,
    file: *mut ffi::sqlite3_file,
    flags: c_int,
    out_flags: *mut c_int,
) -> c_int {
    // SAFETY: SQLite gives our own structure, memory of `szOsFile` bytes, and null or a name that lives as long as the file.
    unsafe {
        let own = file.cast::<File>();
        (*own).base.pMethods = std::ptr::null();
        (*own).watched = std::ptr::null_mut();
        let path =
            (!name.is_null()).then(|| PathBuf::from(OsStr::from_bytes(CStr::from_ptr(name).to_bytes())));
        // What lies there is read before SQLite makes the file.
        let disk = path.as_deref().and_then(disk_of);
        let before = match (&disk, &path) {
            (Some(disk), Some(path)) => match disk.look(path) {
                Some(before) => Some(before),
                None => return ffi::SQLITE_CANTOPEN,
            },
            _ => None,
        };
        let usual = usual(vfs);
        let Some(open) = (*usual).xOpen else { return ffi::SQLITE_CANTOPEN };
        let result = open(usual, name, real(file), flags, out_flags);
        if (*real(file)).pMethods.is_null() {
            return result;
        }
        (*own).base.pMethods = &raw const METHODS;
        if let (Some(disk), Some(path), Some(before)) = (disk, path, before) {
            disk.open(&path, before);
            let is_temporary = flags & ffi::SQLITE_OPEN_DELETEONCLOSE != 0;
            (*own).watched = Box::into_raw(Box::new(Watched { path, disk, is_temporary }));
        }
        result
    }
}

unsafe extern "C" fn delete(vfs: *mut ffi::sqlite3_vfs, name: *const c_char, flush_folder: c_int) -> c_int {
    // SAFETY: SQLite gives our own structure and a name.
    unsafe {
        let path = Path::new(OsStr::from_bytes(CStr::from_ptr(name).to_bytes()));
        if let Some(disk) = disk_of(path)
            && let Err(failure) = disk.remove(path, flush_folder != 0)
        {
            return code(failure, ffi::SQLITE_IOERR_DELETE);
        }
        let usual = usual(vfs);
        (*usual).xDelete.map_or(ffi::SQLITE_IOERR_DELETE, |delete| delete(usual, name, flush_folder))
    }
}

static METHODS: ffi::sqlite3_io_methods = ffi::sqlite3_io_methods {
    // 3 would let SQLite write through mapped memory, of which nobody hears.
    iVersion: 2,
    xClose: Some(close),
    xRead: Some(read),
    xWrite: Some(write),
    xTruncate: Some(truncate),
    xSync: Some(flush),
    xFileSize: Some(size),
    xLock: Some(lock),
    xUnlock: Some(unlock),
    xCheckReservedLock: Some(check_lock),
    xFileControl: Some(control),
    xSectorSize: Some(sector_size),
    xDeviceCharacteristics: Some(characteristics),
    xShmMap: Some(map),
    xShmLock: Some(lock_map),
    xShmBarrier: Some(barrier),
    xShmUnmap: Some(unmap),
    xFetch: None,
    xUnfetch: None,
};

// SAFETY of all that follow: SQLite calls them with an open file of ours, and with what its own documentation says of the rest.

unsafe extern "C" fn close(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see above; `watched` comes from `Box::into_raw`, and is freed once.
    unsafe {
        let own = file.cast::<File>();
        if !(*own).watched.is_null() {
            let watched = Box::from_raw((*own).watched);
            (*own).watched = std::ptr::null_mut();
            if watched.is_temporary {
                watched.disk.remove(&watched.path, true).ok();
            }
        }
        real!(file, xClose)
    }
}

unsafe extern "C" fn read(
    file: *mut ffi::sqlite3_file,
    to: *mut c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xRead, to, length, offset) }
}

unsafe extern "C" fn write(
    file: *mut ffi::sqlite3_file,
    from: *const c_void,
    length: c_int,
    offset: i64,
) -> c_int {
    // SAFETY: see above; `from` holds `length` bytes.
    unsafe {
        if let Some(watched) = watched(file) {
            let bytes = std::slice::from_raw_parts(from.cast::<u8>(), usize::try_from(length).unwrap_or(0));
            if let Err(failure) = watched.disk.write(&watched.path, offset.max(0).cast_unsigned(), bytes) {
                return code(failure, ffi::SQLITE_IOERR_WRITE);
            }
        }
        real!(file, xWrite, from, length, offset)
    }
}

unsafe extern "C" fn truncate(file: *mut ffi::sqlite3_file, length: i64) -> c_int {
    // SAFETY: see above.
    unsafe {
        if let Some(watched) = watched(file)
            && let Err(failure) = watched.disk.truncate(&watched.path, length.max(0).cast_unsigned())
        {
            return code(failure, ffi::SQLITE_IOERR_TRUNCATE);
        }
        real!(file, xTruncate, length)
    }
}

unsafe extern "C" fn flush(file: *mut ffi::sqlite3_file, flags: c_int) -> c_int {
    // SAFETY: see above.
    unsafe {
        match watched(file) {
            // The real file need not be flushed: nobody looks at it after the cut.
            Some(watched) => match watched.disk.flush(&watched.path) {
                Ok(()) => ffi::SQLITE_OK,
                Err(failure) => code(failure, ffi::SQLITE_IOERR_FSYNC),
            },
            None => real!(file, xSync, flags),
        }
    }
}

unsafe extern "C" fn size(file: *mut ffi::sqlite3_file, to: *mut i64) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xFileSize, to) }
}

unsafe extern "C" fn lock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xLock, level) }
}

unsafe extern "C" fn unlock(file: *mut ffi::sqlite3_file, level: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xUnlock, level) }
}

unsafe extern "C" fn check_lock(file: *mut ffi::sqlite3_file, to: *mut c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xCheckReservedLock, to) }
}

unsafe extern "C" fn control(file: *mut ffi::sqlite3_file, what: c_int, argument: *mut c_void) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xFileControl, what, argument) }
}

unsafe extern "C" fn sector_size(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xSectorSize) }
}

unsafe extern "C" fn characteristics(file: *mut ffi::sqlite3_file) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xDeviceCharacteristics) }
}

unsafe extern "C" fn map(
    file: *mut ffi::sqlite3_file,
    page: c_int,
    size: c_int,
    extend: c_int,
    to: *mut *mut c_void,
) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xShmMap, page, size, extend, to) }
}

unsafe extern "C" fn lock_map(
    file: *mut ffi::sqlite3_file,
    offset: c_int,
    count: c_int,
    flags: c_int,
) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xShmLock, offset, count, flags) }
}

unsafe extern "C" fn barrier(file: *mut ffi::sqlite3_file) {
    // SAFETY: see above.
    unsafe {
        let real = real(file);
        if let Some(barrier) = (*(*real).pMethods).xShmBarrier {
            barrier(real);
        }
    }
}

unsafe extern "C" fn unmap(file: *mut ffi::sqlite3_file, remove: c_int) -> c_int {
    // SAFETY: see above.
    unsafe { real!(file, xShmUnmap, remove) }
}
