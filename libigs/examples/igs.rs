//! libigs from Rust, and a program: `igs FILE OUT.pam` decodes a file.
//!
//! The structures are those of include/igs.h. Build: `rustc igs.rs -L PREFIX/lib -l igs`.

use std::ffi::{c_void, CStr, CString};
use std::os::raw::{c_char, c_int};
use std::{env, fs, process, ptr};

#[repr(C)]
#[derive(Default)]
struct Info {
    width: u32,
    height: u32,
    n_channels: u32,
    n_groups: u32,
    n_levels: u32,
    n_sets: u32,
    profile: u32,
    top_k: u32,
    support_q: f64,
    file_size: u64,
    truncated: c_int,
}

#[repr(C)]
#[derive(Default)]
struct Request {
    lod: u32,
    x: u32,
    y: u32,
    width: u32,
    height: u32,
    out_width: u32,
    out_height: u32,
    format: c_int,
    grain: c_int,
    available: c_int,
    row_bytes: usize,
}

#[link(name = "igs")]
extern "C" {
    fn igs_create(options: *const c_void, file: *mut *mut c_void) -> c_int;
    fn igs_close(file: *mut c_void);
    fn igs_open_memory(file: *mut c_void, data: *const u8, size: usize) -> c_int;
    fn igs_open_path(file: *mut c_void, path: *const c_char) -> c_int;
    fn igs_message(file: *const c_void) -> *const c_char;
    fn igs_get_info(file: *const c_void, info: *mut Info) -> c_int;
    fn igs_render(file: *mut c_void, request: *const Request, out: *mut c_void) -> c_int;
}

/// An open file. Bytes that it reads from have to outlive it.
struct File<'a> {
    handle: *mut c_void,
    bytes: std::marker::PhantomData<&'a [u8]>,
}

impl<'a> File<'a> {
    fn with(open: impl FnOnce(*mut c_void) -> c_int) -> Result<Self, String> {
        let mut handle = ptr::null_mut();
        if unsafe { igs_create(ptr::null(), &mut handle) } != 0 {
            return Err("OutOfMemory: there is no memory for the handle".into());
        }
        let file = File { handle, bytes: std::marker::PhantomData };
        file.check(open(handle))?;
        Ok(file)
    }

    /// A file on disk.
    fn open(path: &str) -> Result<Self, String> {
        let path = CString::new(path).map_err(|error| error.to_string())?;
        Self::with(|handle| unsafe { igs_open_path(handle, path.as_ptr()) })
    }

    /// A file in memory.
    fn of(bytes: &'a [u8]) -> Result<Self, String> {
        Self::with(|handle| unsafe { igs_open_memory(handle, bytes.as_ptr(), bytes.len()) })
    }

    fn check(&self, status: c_int) -> Result<(), String> {
        if status == 0 {
            return Ok(());
        }
        Err(unsafe { CStr::from_ptr(igs_message(self.handle)) }.to_string_lossy().into_owned())
    }

    /// Size, channels and levels.
    fn info(&self) -> Result<Info, String> {
        let mut info = Info::default();
        self.check(unsafe { igs_get_info(self.handle, &mut info) })?;
        Ok(info)
    }

    /// 8-bit samples of the whole picture, row by row; of a cut file the finest that has arrived.
    fn render(&self) -> Result<Vec<u8>, String> {
        let info = self.info()?;
        let request = Request { available: 1, ..Default::default() };
        let mut pixels = vec![0; info.width as usize * info.height as usize * info.n_channels as usize];
        self.check(unsafe { igs_render(self.handle, &request, pixels.as_mut_ptr().cast()) })?;
        Ok(pixels)
    }
}

impl Drop for File<'_> {
    fn drop(&mut self) {
        unsafe { igs_close(self.handle) }
    }
}

fn decode(path: &str, out: &str) -> Result<(), String> {
    let info = File::open(path)?.info()?;
    let bytes = fs::read(path).map_err(|error| error.to_string())?;
    let pixels = File::of(&bytes)?.render()?;
    let kind = match info.n_channels {
        3 => "RGB",
        4 => "RGB_ALPHA",
        _ => "GRAYSCALE",
    };
    let head = format!(
        "P7\nWIDTH {}\nHEIGHT {}\nDEPTH {}\nMAXVAL 255\nTUPLTYPE {kind}\nENDHDR\n",
        info.width, info.height, info.n_channels
    );
    fs::write(out, [head.into_bytes(), pixels].concat()).map_err(|error| error.to_string())
}

fn main() {
    let words: Vec<String> = env::args().collect();
    if words.len() != 3 {
        eprintln!("igs FILE OUT.pam");
        process::exit(2);
    }
    if let Err(message) = decode(&words[1], &words[2]) {
        eprintln!("{}: {message}", words[1]);
        process::exit(1);
    }
}
