Hostname golden
Localdir src
Volume 1:
    StartingPath   .  
    EndingPath     turns-file/inside  
    Hash SHA1 f03eb4ad48414c755348821d732a7e4259071d9f
Filelist 9
    changed  a.txt
    changed  dir/b
    deleted  gone/deep/f
    new      new/n
    changed  size-200000
    changed  size-65537
    new      turns-dir/inside
    new      turns-file
    deleted  turns-file/inside
