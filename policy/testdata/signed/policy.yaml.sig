shiguan policy v1
level department
name civil-affairs
serial 7
valid-from 2026-11-22T00:00:00Z
digest sha256:74895e211f419aeeac79c1aa85bd8a55d84c00702d170f017235b4f3c7cedc98

— wang.data-bureau j+8Q5FwEXLwnIMEE4L0TKqJO3ZJBhghCbhL5UMurLPR4b6AL7TM+BQrnfjF/9YetKo57LdHv3i3kPyv23A+xYbbxiw4=
— li.audit-office 4stsQy2djv4mt8d82YVvmPDYDCfQJEgF3AYI3+sbrtY+WFmDIQ58DJw9TPYAt2dKmoVAHD5Ij80D8DcATYJc8QDx1AQ=
