Hostname golden
Localdir src
Volume 1:
    StartingPath   .  
    EndingPath     turns-file/inside  
    Hash SHA1 addaae74b639f885f4b64ac39d14bc5e18cde255
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
